/** Asks once a second how far the nodes are, while the page is in view; from the answers it learns the database's clock. */
import { useEffect, useRef, useState } from 'react';
import type { InspectedRooms } from '../../../src/contract/inspect.ts';
import { inspectRooms, Refused } from './api.ts';

const EVERY_MS = 1_000;

interface Clock {
  /** The database's clock minus this machine's, and by how much that may be wrong; milliseconds. */
  aheadMs: number;
  precisionMs: number;
}

/** `nodes` is undefined before the first answer, and `forbidden` for those who are no admins. */
export function useNodes(token: string, roomId: string) {
  const [nodes, setNodes] = useState<InspectedRooms | 'forbidden' | undefined>();
  const clock = useRef<Clock | null>(null);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let current = true;
    const look = async () => {
      if (!document.hidden) {
        const asked = Date.now();
        const answer = await inspectRooms(token, roomId);
        const answered = Date.now();
        const precisionMs = Math.ceil((answered - asked) / 2);
        // The quickest answer tells the time best.
        if (!clock.current || precisionMs <= clock.current.precisionMs) {
          clock.current = { aheadMs: Date.parse(answer.at) - (asked + answered) / 2, precisionMs };
        }
        if (current) setNodes(answer);
      }
    };
    const again = () => {
      look()
        .catch((error: unknown) => {
          if (!(error instanceof Refused) || error.code !== 'forbidden') return; // asked again in a second
          current = false;
          setNodes('forbidden');
        })
        .finally(() => {
          if (current) timer = setTimeout(again, EVERY_MS);
        });
    };
    again();
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [token, roomId]);
  return { nodes, clock };
}
