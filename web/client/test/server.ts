// A real HTTP server on loopback that does what a test tells it.

import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {json} from 'node:stream/consumers';
import type {PullRequest, PushRequest} from 'replicache';

/** A request that the server has seen. */
export interface Seen {
  readonly path: string;
  readonly authorization: string | undefined;
}

export class MockServer {
  readonly seen: Seen[] = [];
  readonly streams = new Set<ServerResponse>();
  /** Which tokens are good; undefined: all. */
  good: string | undefined;
  /** Streams say nothing after their first poke. */
  silent = false;
  version = 1;
  /** The error that answers a push or pull, if one does. */
  errorFor: (body: PushRequest | PullRequest) => {error: string} | undefined = () => undefined;
  readonly #server = createServer((request, answer) => void this.#serve(request, answer));

  static async start(): Promise<MockServer> {
    const mock = new MockServer();
    await new Promise<void>(resolve => mock.#server.listen(0, '127.0.0.1', resolve));
    return mock;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A commit: everybody who listens is poked. */
  commit(): void {
    this.version++;
    this.streams.forEach(stream => this.#poke(stream));
  }

  /** The requests of a route: `push`, `pull` or `poke`. */
  requests(route: string): Seen[] {
    return this.seen.filter(({path}) => path.startsWith(`/api/replicache/${route}?`));
  }

  /** Cuts all connections, as a machine that fails does. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise(resolve => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const {authorization} = request.headers;
    this.seen.push({path: request.url ?? '', authorization});
    if (this.good !== undefined && authorization !== `Bearer ${this.good}`) {
      answer.writeHead(401).end();
      return;
    }
    if (request.method === 'POST') {
      const body = (await json(request)) as PushRequest | PullRequest;
      const pulled = {cookie: this.version, lastMutationIDChanges: {}, patch: []};
      answer.writeHead(200, {'Content-Type': 'application/json'});
      // A push does not look at what is pulled.
      answer.end(JSON.stringify(this.errorFor(body) ?? pulled));
      return;
    }
    answer.writeHead(200, {'Content-Type': 'text/event-stream'});
    answer.write('retry: 100\n\n');
    this.streams.add(answer);
    this.#poke(answer);
    const beat = this.silent ? undefined : setInterval(() => answer.write(':\n\n'), 50);
    answer.on('close', () => {
      clearInterval(beat);
      this.streams.delete(answer);
    });
  }

  #poke(stream: ServerResponse): void {
    stream.write(`event: poke\ndata: {"version": ${this.version}}\nid: ${this.version}\n\n`);
  }
}

/** Waits until something is true, however busy the machine is: the end is that of a test that hangs. */
export async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 120_000;
  while (!(await isTrue())) {
    if (Date.now() > end) {
      throw new Error(`not within two minutes: ${what}`);
    }
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}
