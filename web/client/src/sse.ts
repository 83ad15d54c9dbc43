/** One block of an event stream. */
export interface Frame {
  /** Its type; `message` if it names none. */
  readonly event: string;
  /** Its data lines, joined; undefined if it has none, when a browser would drop it. */
  readonly data: string | undefined;
  /** How long to wait before connecting again, in milliseconds, if it says so. */
  readonly retry: number | undefined;
}

/** The longest line and the most data of one block, in UTF-16 code units. A poke has 30. */
export const maxFrameLength = 64 * 1024;

/**
 * Reads server-sent events from text that arrives in pieces, as the HTML
 * standard has it ("Parsing an event stream"). Comments are dropped. `id:` is
 * dropped too: a poke stream begins with the latest version in any case.
 */
export class EventParser {
  #rest = '';
  #afterCarriageReturn = false;
  #begun = false;
  #event = '';
  #data: string[] = [];
  #size = 0;
  #retry: number | undefined;

  /**
   * Takes the next piece and gives the blocks that it completes.
   *
   * @throws RangeError if a line or a block is longer than {@link maxFrameLength}.
   */
  push(piece: string): Frame[] {
    const frames: Frame[] = [];
    for (const line of this.#lines(piece)) {
      const frame = line === '' ? this.#dispatch() : this.#field(line);
      if (frame) {
        frames.push(frame);
      }
    }
    return frames;
  }

  /** The lines that the piece completes. They end with LF, CR or CR LF. */
  #lines(piece: string): string[] {
    const lines = (this.#rest + this.#normalise(piece)).split('\n');
    this.#rest = lines.pop() ?? '';
    checkLength(this.#rest.length);
    return lines;
  }

  /** Makes every end of a line an LF; a CR LF may be torn between two pieces. */
  #normalise(piece: string): string {
    if (piece === '') {
      return piece;
    }
    let text = piece;
    if (!this.#begun) {
      this.#begun = true;
      text = text.replace(/^\uFEFF/, '');
    }
    if (this.#afterCarriageReturn && text.startsWith('\n')) {
      text = text.slice(1);
    }
    this.#afterCarriageReturn = piece.endsWith('\r');
    return text.replace(/\r\n?/g, '\n');
  }

  #field(line: string): undefined {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') {
      this.#event = value;
    } else if (name === 'data') {
      this.#size += value.length;
      checkLength(this.#size);
      this.#data.push(value);
    } else if (name === 'retry' && /^\d{1,9}$/.test(value)) {
      this.#retry = Number(value);
    }
    return undefined;
  }

  #dispatch(): Frame | undefined {
    const frame: Frame = {
      event: this.#event || 'message',
      data: this.#data.length > 0 ? this.#data.join('\n') : undefined,
      retry: this.#retry,
    };
    this.#event = '';
    this.#data = [];
    this.#size = 0;
    this.#retry = undefined;
    return frame.data === undefined && frame.retry === undefined ? undefined : frame;
  }
}

function checkLength(length: number): void {
  if (length > maxFrameLength) {
    throw new RangeError(`an event of the stream is longer than ${maxFrameLength}`);
  }
}
