/** Which message is being edited, so that the composer can open one with the arrow key. */
import { createStore } from '../store.ts';

export const editing = createStore<string | null>(null);

export const edit = (messageId: string | null): void => editing.set(() => messageId);
