/** What a message of the load says about itself, at the beginning of its body: `~sender.number.µs~`. */

export interface Marker {
  /** Number among the senders of its room. */
  sender: number;
  /** Of this sender, from 1. */
  n: number;
  /** When it was to be sent. */
  sentUs: number;
  /** Where the marker ends in its frame. */
  end: number;
}

const BODY = Buffer.from('"body":"~');
const [DOT, TILDE, ZERO] = [0x2e, 0x7e, 0x30];

export const writeMarker = (sender: number, n: number, sentUs: number): string =>
  `~${sender}.${n}.${sentUs}~`;

/** The next marker of a frame of JSON from `at` on, without decoding the JSON; undefined when there is none. */
export function readMarker(frame: Buffer, at: number): Marker | undefined {
  const start = frame.indexOf(BODY, at);
  if (start < 0) return undefined;
  let i = start + BODY.length;
  let [sender, n, sentUs] = [0, 0, 0];
  for (; frame[i] !== DOT; i++) sender = sender * 10 + frame[i]! - ZERO;
  for (i++; frame[i] !== DOT; i++) n = n * 10 + frame[i]! - ZERO;
  for (i++; frame[i] !== TILDE; i++) sentUs = sentUs * 10 + frame[i]! - ZERO;
  return { sender, n, sentUs, end: i };
}
