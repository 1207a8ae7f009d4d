/** The scroll position of a log: follows the end, or keeps its place while earlier messages are put in above. */
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';

const NEAR_TOP = 320;
const NEAR_END = 64;

interface Log {
  /** Of the first message shown; falls when earlier ones are put in. */
  readonly first: number;
  /** Rises when the reader sends: then the end comes into view. */
  readonly outgoing: number;
  onAtEnd(atEnd: boolean): void;
  onNearTop(): void;
}

export function useScroll({ first, outgoing, onAtEnd, onNearTop }: Log) {
  const box = useRef<HTMLDivElement>(null);
  const stuck = useRef(true);
  const before = useRef({ first: 0, height: 0, outgoing: 0 });
  const [away, setAway] = useState(false);

  const toEnd = useCallback(() => {
    const element = box.current;
    if (element) element.scrollTop = element.scrollHeight;
  }, []);

  function onScroll() {
    const element = box.current;
    if (!element) return;
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END;
    if (atEnd !== stuck.current) {
      stuck.current = atEnd;
      setAway(!atEnd);
      onAtEnd(atEnd);
    }
    if (element.scrollTop < NEAR_TOP) onNearTop();
  }

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const known = before.current;
    if (outgoing > known.outgoing) stuck.current = true;
    if (stuck.current) toEnd();
    else if (first < known.first) element.scrollTop += element.scrollHeight - known.height;
    before.current = { first, height: element.scrollHeight, outgoing };
  });

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => stuck.current && toEnd());
    observer.observe(element);
    return () => observer.disconnect();
  }, [toEnd]);

  return { box, away, toEnd, onScroll };
}
