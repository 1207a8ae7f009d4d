/** One room under the glass: the connection and its buttons, the proof, the nodes, the events. */
import { useEffect, useState, useSyncExternalStore } from 'react';
import { createNeighbour, Refused } from './api.ts';
import { createLine } from './line.ts';
import type { Line, LineState } from './line.ts';
import { EventLog } from './EventLog.tsx';
import { RoomNodes } from './RoomNodes.tsx';
import { useNodes } from './nodes.ts';
import { Proof } from './Proof.tsx';
import { useWords } from './words.ts';

interface Props {
  token: string;
  roomId: string;
  development: boolean;
}

export function RoomGlass(props: Props) {
  const [line, setLine] = useState<Line | null>(null);
  const { nodes, clock } = useNodes(props.token, props.roomId);
  useEffect(() => {
    const opened = createLine(props.token, props.roomId, () => clock.current?.aheadMs ?? 0);
    setLine(opened);
    return () => opened.close();
  }, [props.token, props.roomId, clock]);
  return line && <Opened {...props} line={line} nodes={nodes} precisionMs={clock.current?.precisionMs} />;
}

type Nodes = ReturnType<typeof useNodes>['nodes'];

function Opened({
  line,
  nodes,
  precisionMs,
  ...props
}: Props & { line: Line; nodes: Nodes; precisionMs: number | undefined }) {
  const state = useSyncExternalStore(line.subscribe, line.getSnapshot);
  const head =
    nodes === 'forbidden' ? undefined : nodes?.heads.find(({ room_id }) => room_id === props.roomId);
  return (
    <>
      <Controls {...props} line={line} state={state} />
      <Proof state={state} storedChange={head?.change_seq} precisionMs={precisionMs} />
      <RoomNodes nodes={nodes} roomId={props.roomId} check={state.check} />
      <EventLog rows={state.rows} />
    </>
  );
}

function Controls({ line, state, roomId, development }: { line: Line; state: LineState } & Props) {
  const { t } = useWords();
  const [neighbour] = useState(createNeighbour);
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<string | null>(null);
  const isCut = state.phase === 'cut';

  const attempt = async (work: Promise<void>) => {
    setBusy(true);
    setRefusal(null);
    await work.catch((error: unknown) => setRefusal(error instanceof Refused ? error.code : 'internal'));
    setBusy(false);
  };
  return (
    <section className="inspect-card" aria-label={t(`phase.${state.phase}`)}>
      <p className={`inspect-phase is-${state.phase}`} role="status">
        {t(`phase.${state.phase}`)}
        {state.refusal && `: ${state.refusal}`}
        {state.transport && <span className="quiet"> {t('over', { transport: state.transport })}</span>}
      </p>
      <p className="row">
        <button
          type="button"
          className="primary"
          disabled={!isCut && state.phase !== 'live'}
          onClick={isCut ? line.reconnect : line.cut}
        >
          {t(isCut ? 'reconnect' : 'cut')}
        </button>
        {development && (
          <>
            <button
              type="button"
              className="secondary"
              disabled={busy}
              onClick={() => void attempt(neighbour.write(roomId, 1))}
            >
              {t('one')}
            </button>
            <button
              type="button"
              className="secondary"
              disabled={busy}
              onClick={() => void attempt(neighbour.write(roomId, 5))}
            >
              {t('five')}
            </button>
            <button
              type="button"
              className="secondary"
              disabled={busy}
              onClick={() => void attempt(neighbour.edit(roomId))}
            >
              {t('edit')}
            </button>
          </>
        )}
      </p>
      <p role="alert" className={refusal ? 'problem' : 'hidden'}>
        {refusal && t('refusedCall', { code: refusal })}
      </p>
    </section>
  );
}
