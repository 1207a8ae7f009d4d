/**
 * A parser of text/event-stream.
 * Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */

/** The lines of a text that comes in pieces; they end with LF, CR or CRLF, which a piece may cut in two. */
async function* lines(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of pieces) {
    rest += piece;
    if (!/[\r\n]/.test(piece)) continue;
    // A CR at the very end is left for the next piece, which may bring its LF.
    const whole = rest.split(/\r\n|\n|\r(?!$)/);
    rest = whole.pop() ?? '';
    yield* whole;
  }
  yield rest.replace(/\r$/, '');
}

/**
 * The `data` of each event in the stream, its lines joined by LF; comments, other fields and events without data are
 * skipped. An event cut off by the end of the stream is dropped; one that lacks only its blank line is not.
 */
export async function* eventData(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let data: string[] = [];
  for await (const line of lines(pieces)) {
    if (line === '') {
      if (data.length > 0) yield data.join('\n');
      data = [];
    } else if (line === 'data') {
      data.push('');
    } else if (line.startsWith('data:')) {
      data.push(line.slice(line[5] === ' ' ? 6 : 5));
    }
  }
}
