import assert from 'node:assert/strict';
import {test} from 'node:test';
import {EventParser, type Frame, maxFrameLength} from '../src/sse.js';

function parse(...pieces: string[]): Frame[] {
  const parser = new EventParser();
  return pieces.flatMap(piece => parser.push(piece));
}

const frame = (f: Partial<Frame>): Frame => ({
  event: 'message',
  data: undefined,
  retry: undefined,
  ...f,
});

const poke = frame({event: 'poke', data: '{"version": 7}'});

for (const {name, pieces, want} of [
  {name: 'a poke', pieces: ['event: poke\ndata: {"version": 7}\nid: 7\n\n'], want: [poke]},
  {name: 'CR LF', pieces: ['event: poke\r\ndata: {"version": 7}\r\n\r\n'], want: [poke]},
  {name: 'CR', pieces: ['event: poke\rdata: {"version": 7}\r\r'], want: [poke]},
  {
    name: 'a CR LF that is torn apart',
    pieces: ['event: poke\r', '\ndata: {"version": 7}\r', '\n\r', '', '\n'],
    want: [poke],
  },
  {name: 'a byte order mark', pieces: ['\uFEFFevent: poke\ndata: {"version": 7}\n\n'], want: [poke]},
  {name: 'comments', pieces: [':\n\n: hello\n\n', ':\n'], want: []},
  {name: 'retry alone', pieces: ['retry: 1000\n\n'], want: [frame({retry: 1000})]},
  {
    name: 'a goodbye',
    pieces: ['event: bye\ndata: {}\nretry: 3214\n\n'],
    want: [frame({event: 'bye', data: '{}', retry: 3214})],
  },
  {name: 'several lines of data', pieces: ['data: a\ndata: b\n\n'], want: [frame({data: 'a\nb'})]},
  {name: 'one space is dropped', pieces: ['data:  a\n\n'], want: [frame({data: ' a'})]},
  {name: 'no space', pieces: ['data:a\n\n'], want: [frame({data: 'a'})]},
  {name: 'empty data', pieces: ['data\n\n'], want: [frame({data: ''})]},
  {name: 'an event without data', pieces: ['event: poke\n\n'], want: []},
  {
    name: 'the type lasts for one block',
    pieces: ['event: poke\n\ndata: a\n\n'],
    want: [frame({data: 'a'})],
  },
  {name: 'an unfinished block', pieces: ['event: poke\ndata: {"version": 7}\n'], want: []},
  {name: 'a retry that is no number', pieces: ['retry: soon\n\n', 'retry: -1\n\n'], want: []},
  {name: 'unknown fields', pieces: ['colour: red\nid: 9\ndata: a\n\n'], want: [frame({data: 'a'})]},
]) {
  test(`reads ${name}`, () => {
    assert.deepEqual(parse(...pieces), want);
  });
}

test('the same comes of any way to cut the text', () => {
  const text = 'retry: 1000\r\n\r\n:\n\nevent: poke\ndata: {"version": 7}\n\nevent: bye\rdata: {}\r\r';
  const want = parse(text);
  assert.equal(want.length, 3);
  for (let cut = 0; cut <= text.length; cut++) {
    assert.deepEqual(parse(text.slice(0, cut), text.slice(cut)), want, `cut at ${cut}`);
  }
  assert.deepEqual(parse(...text), want, 'letter by letter');
});

test('a line without an end is not kept for ever', () => {
  assert.throws(() => parse('data: ', 'x'.repeat(maxFrameLength)), RangeError);
});

test('a block without an end is not kept for ever', () => {
  const line = `data: ${'x'.repeat(1024)}\n`;
  assert.throws(() => parse(...Array.from({length: 100}, () => line)), RangeError);
});
