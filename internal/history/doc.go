// Package history writes down what clients of a service sent and were answered, and
// judges it: whether there is any order of commits that explains it and keeps the
// promises. It looks at nothing but requests and answers, so it can judge any server.
//
// A Recorder writes Events as JSON Lines, from load.Exchanges. A Judge reads them, one
// by one, and names the invariants that they break; Registers checks with porcupine
// whether the reads and writes of keys that several clients write are linearizable.
//
// The mutations are the chat sample's. Of the keys whose first two parts name a client
// ("<run>-<client>-…") only that client writes, so what a view shows of them follows
// exactly from that client's mutations up to its lastMutationID in the same view: that is
// where what is lost, applied twice, out of order or torn shows. "createMessage" of what
// exists and "updateMessage" of what does not are refused, so an effect that happens twice
// also shows as a rejection that should not be there; and which rejections a pull must tell
// follows from what it confirms. Keys "reg-…" are the registers: every client writes them,
// each time another value. A run may have new ones every some seconds, so that it has many
// histories that are complete and short.
package history
