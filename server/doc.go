// Package server puts the service together: store, engine, poke hub and HTTP
// handlers, from one set of Settings. It also runs them, with an http.Server of
// its own whose timeouts and shutdown suit Cloud Run.
//
// Settings are the flags of "replifire serve" and, each under a fixed name,
// environment variables; SettingsFromEnv is for whoever has no command line, such
// as the function in the module's root. What would be unsafe on the open internet
// is refused on Cloud Run unless the settings say that it is meant.
//
// New opens nothing but memory: the first connection to Firestore is made by the
// first request or by a readiness check, so an instance listens within
// milliseconds of its start. Run ends within Settings.DrainTimeout of its context:
// no new connections, streams ended, requests under way answered, queues drained.
package server
