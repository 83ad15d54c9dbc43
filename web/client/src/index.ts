/**
 * `@replifire/client` connects Replicache to a replifire server. It gives
 * Replicache its URLs and tokens, makes it pull when a space changes, and tells
 * the app which mutations the server refused. It stores and caches nothing of the
 * app's data: that is Replicache's work.
 *
 * @packageDocumentation
 */

export type {AuthSource, MaybePromise, TokenFunction, TokenUser} from './auth.js';
export type {Syncable} from './connection.js';
export type {
  Cancel,
  Clock,
  Environment,
  KeyValueStorage,
  Locks,
  VisibleDocument,
} from './environment.js';
export {
  type FirestorePokeOptions,
  type OnSnapshot,
  pokeFromFirestore,
  type SpaceSnapshot,
} from './firestore.js';
export type {RejectionListener} from './ledger.js';
export type {LossListener, LostMutations, PendingHolder} from './loss.js';
export type {ReplifireOptions} from './options.js';
export type {Rejection} from './rejection.js';
export {replifire, type Sync, type SyncOptions} from './replifire.js';
export type {Status, StatusListener} from './status.js';
