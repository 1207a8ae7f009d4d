/** What the server tells the page about itself: whether it runs for development. */
import { useEffect, useState } from 'react';

let asked: Promise<boolean | null> | null = null;

async function ask(): Promise<boolean | null> {
  try {
    const response = await fetch('/page.json', { signal: AbortSignal.timeout(10_000) });
    return ((await response.json()) as { development: boolean }).development;
  } catch {
    asked = null;
    return null;
  }
}

/** Null while it is not known. */
export function useDevelopment(): boolean | null {
  const [development, setDevelopment] = useState<boolean | null>(null);
  useEffect(() => {
    void (asked ??= ask()).then(setDevelopment);
  }, []);
  return development;
}
