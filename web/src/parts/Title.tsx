/** The heading of a place: it takes the focus on arrival and names the browser tab. */
import { useEffect, type ReactNode } from 'react';

export function Title({ text, children }: { text: string; children?: ReactNode }) {
  useEffect(() => {
    document.title = `${text} · DAARION City`;
  }, [text]);
  return (
    <h1 className="title" tabIndex={-1} dir="auto">
      {children ?? text}
    </h1>
  );
}
