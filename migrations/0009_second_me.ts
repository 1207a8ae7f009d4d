/**
 * What a node does to an invocation, each as one call: it is made, claimed, finished. The lock of the user is taken
 * inside, and every statement after it sees what was committed while it was waited for.
 *
 * A call that is not `patient` answers `busy` instead of waiting for the lock, so that many of them may share one
 * transaction: none of them waits for another's user, and no two transactions for each other.
 */
import type { Knex } from 'knex';

export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create function secondme_lock(owner text, patient boolean) returns boolean language plpgsql as $$
    declare
      key bigint := hashtextextended('secondme ' || owner, 0);
    begin
      if not patient then
        return pg_try_advisory_xact_lock(key);
      end if;
      perform pg_advisory_xact_lock(key);
      return true;
    end $$;

    -- \`known\`: the key was used before, for the invocation answered; \`own_max\`, \`city_max\`: so many are unfinished;
    -- \`created\`. Only what must wait for the lock is asked twice.
    create function secondme_create(
      new_id text, message_id text, new_session_id text, owner text, given_key text, given_prompt text,
      own_max integer, city_max integer, patient boolean,
      out outcome text, out invocation secondme_invocations)
    language plpgsql as $$
    declare
      locked boolean := secondme_lock(owner, false);
      current_session text;
    begin
      loop
        if given_key is not null then
          select * into invocation from secondme_invocations i
            where i.user_id = owner and i.idempotency_key = given_key;
          if found then
            outcome := 'known';
            return;
          end if;
        end if;
        if own_max <= (select count(*) from secondme_invocations i
                       where i.user_id = owner and i.status in ('queued', 'running')) then
          outcome := 'own_max';
          return;
        end if;
        -- The index of what is unfinished, which the limits themselves keep small.
        if city_max <= (select count(*) from secondme_invocations i where i.status in ('queued', 'running')) then
          outcome := 'city_max';
          return;
        end if;
        exit when locked;
        if not patient then
          outcome := 'busy';
          return;
        end if;
        locked := secondme_lock(owner, true);
      end loop;

      select s.id into current_session from secondme_sessions s where s.user_id = owner;
      if not found then
        insert into secondme_sessions (id, user_id) values (new_session_id, owner);
        current_session := new_session_id;
      end if;
      insert into secondme_invocations (id, user_id, session_id, idempotency_key, prompt, status)
        values (new_id, owner, current_session, given_key, given_prompt, 'queued')
        returning * into invocation;
      insert into secondme_messages (id, session_id, user_id, role, content, invocation_id)
        values (message_id, current_session, owner, 'user', given_prompt, new_id);
      outcome := 'created';
    end $$;

    -- \`claimed\`, with the attempt that is its fence and the last messages before the prompt; \`dead\`: it has cost
    -- crashes_max workers and has been buried; \`suspect\`: it has cost suspect_crashes, and such are not wanted.
    -- \`nothing\`: it has finished, somebody else has it, or its user has running_max running.
    create function secondme_claim(
      given text, lease_ms integer, suspects boolean, running_max integer, suspect_crashes integer,
      crashes_max integer, context_max integer, patient boolean,
      out outcome text, out owner text, out prompt text, out attempt integer, out crashes integer, out context json)
    language plpgsql as $$
    #variable_conflict use_column
    declare
      row secondme_invocations;
    begin
      outcome := 'nothing';
      select i.user_id into owner from secondme_invocations i where i.id = given;
      if not found then
        return;
      elsif not secondme_lock(owner, patient) then
        outcome := 'busy';
        return;
      end if;

      select * into row from secondme_invocations i
        where i.id = given and (
          i.status = 'running' and i.lease_until < clock_timestamp() or
          i.status = 'queued' and running_max > (
            select count(*) from secondme_invocations o where o.user_id = i.user_id and o.status = 'running'
          )
        ) for update of i;
      if not found then
        return;
      end if;
      crashes := row.crashes + (row.status = 'running')::integer;

      if crashes >= crashes_max then
        -- Failed for its user, dead for the operators; whoever still works on it is fenced off.
        update secondme_invocations i set status = 'failed', attempt = row.attempt + 1,
            crashes = secondme_claim.crashes, error = 'poison', lease_until = null, finished_at = now(), died_at = now()
          where i.id = given;
        delete from secondme_messages m where m.invocation_id = given;
        outcome := 'dead';
      elsif crashes >= suspect_crashes and not suspects then
        outcome := 'suspect';
      else
        update secondme_invocations i set status = 'running', attempt = row.attempt + 1,
            crashes = secondme_claim.crashes, lease_until = clock_timestamp() + lease_ms * interval '1 ms'
          where i.id = given;
        outcome := 'claimed';
        prompt := row.prompt;
        attempt := row.attempt + 1;
        context := coalesce((
          select json_agg(json_build_object('role', last.role, 'content', last.content) order by last.n)
          from (
            select m.n, m.role, m.content from secondme_messages m
            where m.session_id = row.session_id and m.n < (
              select p.n from secondme_messages p where p.invocation_id = given and p.role = 'user'
            )
            order by m.n desc limit context_max
          ) last), '[]');
      end if;
    end $$;

    -- \`done\`, also when an earlier try of this very call was committed and its answer lost; \`refused\`: the claim is no
    -- longer this attempt's, and nothing was stored. next_id: the user's invocation that has waited longest.
    create function secondme_finish(
      given text, owner text, fence integer, new_status text, new_reply text, new_tokens integer, new_latency integer,
      is_fallback boolean, new_error text, message_id text, patient boolean,
      out outcome text, out next_id text)
    language plpgsql as $$
    declare
      mine record;
    begin
      if not secondme_lock(owner, patient) then
        outcome := 'busy';
        return;
      end if;
      select i.status, i.finished_at, i.session_id into mine from secondme_invocations i
        where i.id = given and i.attempt = fence;
      if found and mine.status = 'running' then
        update secondme_invocations i set status = new_status, reply = new_reply, tokens_used = new_tokens,
            latency_ms = new_latency, fallback = is_fallback, error = new_error, lease_until = null, finished_at = now()
          where i.id = given;
        if new_status <> 'succeeded' then
          delete from secondme_messages m where m.invocation_id = given;   -- what failed leaves the conversation
        elsif mine.session_id is not null then
          insert into secondme_messages (id, session_id, user_id, role, content, invocation_id)
            values (message_id, mine.session_id, owner, 'assistant', new_reply, given);
        end if;
        outcome := 'done';
      elsif found and mine.finished_at is not null and mine.status = new_status then
        outcome := 'done';
      else
        outcome := 'refused';
      end if;
      select i.id into next_id from secondme_invocations i
        where i.user_id = owner and i.status = 'queued' order by i.created_at, i.id limit 1;
    end $$;
  `);
}

export async function down(): Promise<void> {
  throw new Error('Migrations go forward only.');
}
