-- Version 2: the lead is a lease, processes tell that they are there, and a worker may append for the runs that it holds
-- alone.

-- What a host has, it has until `expires` by this server's clock. Nobody holds a lock meanwhile.
CREATE TABLE {schema}.lease (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    place text COLLATE "C",
    host text COLLATE "C",
    epoch bigint NOT NULL DEFAULT 0,
    expires timestamptz NOT NULL DEFAULT to_timestamp(0) -- given back
);
INSERT INTO {schema}.lease (place, host, epoch)
    SELECT max(value) FILTER (WHERE name = 'place'), max(value) FILTER (WHERE name = 'host'),
        count(*) FILTER (WHERE name = 'place') FROM {schema}.state;
DELETE FROM {schema}.state WHERE name IN ('place', 'host');
INSERT INTO {schema}.state VALUES ('lease_seconds', '6');

-- The long-lived processes of the team; `leads` is the epoch in which one leads, 0 if it does not.
CREATE TABLE {schema}.presences (
    boot text COLLATE "C",
    pid bigint,
    start text COLLATE "C",
    process text COLLATE "C" NOT NULL,
    place text COLLATE "C" NOT NULL,
    host text COLLATE "C" NOT NULL,
    what text COLLATE "C" NOT NULL CHECK (octet_length(what) < 65536),
    leads bigint NOT NULL,
    role name NOT NULL,
    since timestamptz NOT NULL,
    expires timestamptz NOT NULL,
    PRIMARY KEY (boot, pid, start)
);

-- Who may write for which run: made by `run.offered`, and given to a role by `run.taken`, in the same append.
CREATE TABLE {schema}.holds (
    run text COLLATE "C" PRIMARY KEY,
    epoch bigint NOT NULL,
    persona text COLLATE "C" NOT NULL,
    role name
);

-- As whom a login may write that is no leader's, without a run.
CREATE TABLE {schema}.grants (
    role name,
    persona text COLLATE "C",
    PRIMARY KEY (role, persona)
);

CREATE FUNCTION {schema}.lease_time() RETURNS interval
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT make_interval(secs => value::float8) FROM {schema}.state WHERE name = 'lease_seconds'
$$;

-- Whether what lasted until then is over. It is not while the server has just started: nobody could renew it before.
CREATE FUNCTION {schema}.is_over(expires timestamptz) RETURNS boolean
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT expires = to_timestamp(0) OR (
        expires < clock_timestamp() AND pg_postmaster_start_time() < clock_timestamp() - 2 * {schema}.lease_time()
    )
$$;

-- Whether only the host that leads may append an event. What people say and take is theirs, wherever they are.
CREATE FUNCTION {schema}.of_leader(middle text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT substr(middle, 40, 400) !~ ('^"ts":"[^"]*","kind":"('
        || '(mail|claim|session|command)\.[a-z]+|(run|dispatch)\.stopped|run\.(taken|returned)|task\.opened'
        || '|(scheduler|schedule)\.(paused|resumed)|patch\.approved|task\.finished","sender":"(?!scheduler")[^"]*'
        || ')"')
$$;

-- The epoch that an event about a run names, NULL if it names none.
CREATE FUNCTION {schema}.epoch_of(data json) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN data->>'epoch' ~ '^[0-9]{1,15}$' THEN (data->>'epoch')::bigint END
$$;

-- Why the role of a worker or a member may not append an event; NULL if it may.
CREATE FUNCTION {schema}.why_not(middle text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own record;
    held record;
BEGIN
    SELECT * INTO own FROM json_to_record(('{"id":' || middle || '}')::json) AS fields(
        kind text, sender text, run text, data json
    );
    IF own.kind IN ('run.taken', 'run.returned') THEN
        IF NOT pg_has_role(session_user, '{schema}_worker', 'MEMBER') THEN
            RETURN 'it takes no runs';
        END IF;
        SELECT * INTO held FROM {schema}.holds AS each WHERE each.run = own.run;
        IF held.epoch IS DISTINCT FROM {schema}.epoch_of(own.data) OR held.epoch IS NULL THEN
            RETURN 'that run is not offered';
        ELSIF own.kind = 'run.taken' AND held.role IS NOT NULL THEN
            RETURN 'another one has taken that run';
        ELSIF own.kind = 'run.returned' AND held.role IS DISTINCT FROM session_user THEN
            RETURN 'it does not hold that run';
        END IF;
        RETURN NULL;
    ELSIF own.kind !~ '^((mail|claim)\.[a-z]+|task\.(opened|finished))$' THEN
        RETURN own.kind || ' is for a leader';
    ELSIF own.run IS NULL THEN
        IF NOT EXISTS (
            SELECT FROM {schema}.grants AS each WHERE each.role = session_user AND each.persona = own.sender
        ) THEN
            RETURN own.sender || ' is not granted to it, and it names no run: `team cluster grant`';
        END IF;
        RETURN NULL;
    END IF;
    SELECT * INTO held FROM {schema}.holds AS each WHERE each.run = own.run AND each.role = session_user;
    IF held.run IS NULL THEN
        RETURN 'it does not hold run ' || own.run;
    ELSIF held.persona IS DISTINCT FROM own.sender THEN
        RETURN 'that run is of ' || held.persona || ', not of ' || own.sender;
    END IF;
    RETURN NULL;
END $$;

-- Keep in mind who holds a run, by an event that is being appended.
CREATE FUNCTION {schema}.note_hold(middle text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own record;
    its_epoch bigint;
BEGIN
    IF substr(middle, 40, 80) !~ '^"ts":"[^"]*","kind":"run\.(offered|taken|returned|finished|lost)"' THEN
        RETURN;
    END IF;
    SELECT * INTO own FROM json_to_record(('{"id":' || middle || '}')::json) AS fields(kind text, run text, data json);
    its_epoch := {schema}.epoch_of(own.data);
    IF own.kind = 'run.offered' THEN
        INSERT INTO {schema}.holds AS held SELECT own.run, its_epoch, own.data->>'persona'
            WHERE own.run IS NOT NULL AND its_epoch IS NOT NULL AND own.data->>'persona' IS NOT NULL
            ON CONFLICT (run) DO UPDATE SET epoch = excluded.epoch, persona = excluded.persona, role = NULL
            WHERE held.epoch < excluded.epoch;
    ELSIF own.kind = 'run.taken' THEN
        UPDATE {schema}.holds AS held SET role = session_user
            WHERE held.run = own.run AND held.epoch = its_epoch AND held.role IS NULL;
    ELSE
        DELETE FROM {schema}.holds AS held
            WHERE held.run = own.run AND (own.kind <> 'run.returned' OR held.epoch = its_epoch);
    END IF;
END $$;

DROP FUNCTION {schema}.send(text[], text);

-- Append the events whose middles are given, in order, as one transaction. Of an event whose id the log has, `line` is
-- the line with that id, and nothing is written; of the others it is NULL. `epoch` is that of the lead that the process
-- has taken, 0 if it has taken none. The role of a worker or a member is asked about each event that is new.
CREATE FUNCTION {schema}.send(middles text[], place text, epoch bigint)
RETURNS TABLE (id text, seq bigint, prev text, hash text, line text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off -- plans are kept, also those made while the log was short
AS $$
DECLARE
    why text;
    of_mail boolean;
    trusted boolean := pg_has_role(session_user, '{schema}_leader', 'MEMBER');
    state record;
    lease record;
    ids text[];
    known text[];
    news text[];
    middle text;
    last_seq bigint;
    last_hash text;
    size bigint;
BEGIN
    IF cardinality(middles) = 1 THEN -- without queries, which take longer than what they ask
        ids := ARRAY[substr(middles[1], 2, 36)];
        why := {schema}.refusal(middles[1]);
        of_mail := substr(middles[1], 40, 60) ~ '^"ts":"[^"]*","kind":"mail\.';
    ELSE
        ids := ARRAY(SELECT substr(given.middle, 2, 36) FROM unnest(middles) AS given(middle));
        SELECT min(each.why), bool_and(each.of_mail) INTO why, of_mail FROM (
            SELECT {schema}.refusal(given.middle) AS why,
                substr(given.middle, 40, 60) ~ '^"ts":"[^"]*","kind":"mail\.' AS of_mail
            FROM unnest(middles) AS given(middle)
        ) AS each;
    END IF;
    IF why IS NOT NULL THEN
        RAISE EXCEPTION '%', why USING ERRCODE = 'TM001';
    END IF;
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    LOCK TABLE {schema}.turn IN EXCLUSIVE MODE;
    SELECT max(each.value) FILTER (WHERE each.name = 'closed') AS closed,
        max(each.value) FILTER (WHERE each.name = 'segment_bytes')::bigint AS most
        INTO state FROM {schema}.state AS each;
    IF state.closed IS NOT NULL THEN
        RAISE EXCEPTION '%', state.closed USING ERRCODE = 'TM005';
    END IF;
    IF trusted AND NOT of_mail THEN
        SELECT own.* INTO lease FROM {schema}.lease AS own;
        IF (send.epoch > 0 AND send.epoch <> lease.epoch OR lease.place <> send.place)
            AND (send.epoch > 0 OR NOT {schema}.is_over(lease.expires))
            AND EXISTS (SELECT FROM unnest(middles) AS given(middle) WHERE {schema}.of_leader(given.middle)) THEN
            RAISE EXCEPTION '%', coalesce(lease.host, 'nowhere') USING ERRCODE = 'TM004';
        END IF;
    END IF;
    SELECT each.seq, substr(right(each.line, 34), 1, 32), each.size INTO last_seq, last_hash, size
        FROM {schema}.lines AS each ORDER BY each.seq DESC LIMIT 1;
    RETURN QUERY SELECT each.id, each.seq, NULL::text, NULL::text, each.line FROM {schema}.lines AS each
        WHERE each.id = ANY (ids);
    IF NOT FOUND AND cardinality(ids) = 1 THEN
        news := middles;
    ELSE
        known := ARRAY(SELECT each.id FROM {schema}.lines AS each WHERE each.id = ANY (ids));
        SELECT array_agg(first.middle ORDER BY first.nth) INTO news FROM (
            SELECT DISTINCT ON (given.id) given.middle, given.nth
            FROM unnest(middles, ids) WITH ORDINALITY AS given(middle, id, nth)
            WHERE given.id <> ALL (known) ORDER BY given.id, given.nth
        ) AS first;
    END IF;
    IF news IS NULL THEN
        RETURN;
    END IF;
    IF NOT trusted THEN
        FOREACH middle IN ARRAY news LOOP
            why := {schema}.why_not(middle);
            IF why IS NOT NULL THEN
                RAISE EXCEPTION '% may not append that: %', session_user, why USING ERRCODE = 'TM003';
            END IF;
        END LOOP;
    END IF;
    IF last_seq IS NULL THEN
        SELECT * INTO last_seq, last_hash, size
            FROM {schema}.put(0, repeat('0', 32), 0, {schema}.own_event('log.opened', '{"format":1}'), true);
    ELSIF size >= state.most THEN
        SELECT * INTO last_seq, last_hash, size
            FROM {schema}.put(last_seq, last_hash, size, {schema}.own_event('log.sealed', '{}'), false);
        SELECT * INTO last_seq, last_hash, size
            FROM {schema}.put(last_seq, last_hash, size, {schema}.own_event('log.opened', '{"format":1}'), true);
    END IF;
    FOREACH middle IN ARRAY news LOOP
        prev := last_hash;
        last_seq := last_seq + 1;
        line := '{"v":1,"seq":' || last_seq || ',"id":' || middle || ',"prev":"' || prev || '"';
        last_hash := left(encode(sha256(convert_to(line, 'UTF8')), 'hex'), 32);
        line := line || ',"hash":"' || last_hash || '"}';
        size := size + octet_length(line) + 1;
        id := substr(middle, 2, 36);
        INSERT INTO {schema}.lines VALUES (last_seq, id, line, size);
        IF NOT of_mail THEN
            PERFORM {schema}.note_hold(middle);
        END IF;
        seq := last_seq;
        hash := last_hash;
        line := NULL;
        RETURN NEXT;
    END LOOP;
    PERFORM pg_notify('{schema}', last_seq::text);
END $$;

-- Lead from a place, unless another one does; `force` takes the lead over. Returns who leads now, and for how many
-- seconds more unless that is renewed. Whoever leads from the same place goes on in the same epoch.
DROP FUNCTION {schema}.lead(text, text, boolean);
CREATE FUNCTION {schema}.lead(
    new_place text, new_host text, force boolean, OUT place text, OUT host text, OUT epoch bigint, OUT rest float8
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own {schema}.lease;
BEGIN
    SELECT * INTO own FROM {schema}.lease;
    IF own.place IS NOT DISTINCT FROM new_place OR force OR {schema}.is_over(own.expires) THEN
        LOCK TABLE {schema}.turn IN EXCLUSIVE MODE; -- so no append is under way that the former one may still make
        SELECT * INTO own FROM {schema}.lease FOR UPDATE;
        IF own.place IS NOT DISTINCT FROM new_place OR force OR {schema}.is_over(own.expires) THEN
            UPDATE {schema}.lease AS each SET
                epoch = each.epoch + (each.place IS DISTINCT FROM new_place)::integer,
                place = new_place, host = new_host, expires = clock_timestamp() + {schema}.lease_time()
                RETURNING each.* INTO own;
            DELETE FROM {schema}.presences AS each WHERE each.expires < clock_timestamp() - interval '1 day';
        END IF;
    END IF;
    place := own.place;
    host := own.host;
    epoch := own.epoch;
    rest := extract(epoch FROM own.expires - clock_timestamp());
END $$;

-- Let others lead at once, unless a process of that place still leads in that epoch.
CREATE FUNCTION {schema}.give_back(of_place text, held bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF held > 0 AND pg_has_role(session_user, '{schema}_leader', 'MEMBER') THEN
        UPDATE {schema}.lease AS own SET expires = to_timestamp(0) WHERE own.place = of_place AND own.epoch = held
            AND NOT EXISTS (
                SELECT FROM {schema}.presences AS each
                WHERE each.place = of_place AND each.leads = held AND each.expires > clock_timestamp()
            );
    END IF;
END $$;

-- Tell that a process of a place is there, and renew its lead of the epoch `held`, 0 if it does not lead; below 0, it
-- gives that epoch's lead back. Returns who leads.
CREATE FUNCTION {schema}.beat(
    process text, of_place text, of_host text, what text, held bigint,
    OUT place text, OUT host text, OUT epoch bigint, OUT lasts float8
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named json := process::json;
    until timestamptz := clock_timestamp() + {schema}.lease_time();
BEGIN
    IF EXISTS (
        SELECT FROM {schema}.presences AS own WHERE own.boot = named->>'boot' AND own.pid = (named->>'pid')::bigint
            AND own.start = named->>'start' AND own.leads = greatest(held, 0)
    ) THEN
        PERFORM set_config('synchronous_commit', 'off', true); -- the next one is soon
    END IF;
    INSERT INTO {schema}.presences AS own VALUES (
        named->>'boot', (named->>'pid')::bigint, named->>'start', process, of_place, of_host, what, greatest(held, 0),
        session_user, clock_timestamp(), until
    ) ON CONFLICT (boot, pid, start) DO UPDATE
        SET what = excluded.what, leads = excluded.leads, expires = excluded.expires WHERE own.role = session_user;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another login tells of that process' USING ERRCODE = 'TM003';
    END IF;
    IF held > 0 AND pg_has_role(session_user, '{schema}_leader', 'MEMBER') THEN
        UPDATE {schema}.lease AS own SET expires = until WHERE own.place = of_place AND own.epoch = held;
    ELSIF held < 0 THEN
        PERFORM {schema}.give_back(of_place, -held);
    END IF;
    SELECT own.place, own.host, own.epoch INTO place, host, epoch FROM {schema}.lease AS own;
    lasts := extract(epoch FROM {schema}.lease_time());
END $$;

-- Tell that a process is gone; if none of its place leads in its epoch any more, others may lead at once.
CREATE FUNCTION {schema}.leave(process text, of_place text, held bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named json := process::json;
BEGIN
    DELETE FROM {schema}.presences AS own WHERE own.boot = named->>'boot' AND own.pid = (named->>'pid')::bigint
        AND own.start = named->>'start' AND own.role = session_user;
    PERFORM {schema}.give_back(of_place, held);
END $$;

-- The processes that were there within a day: for how many seconds each is known to be there, and whether it counts as
-- gone.
CREATE FUNCTION {schema}.there()
RETURNS TABLE (
    process text, place text, host text, what text, leads bigint, role name, age float8, rest float8, gone boolean
)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT own.process, own.place, own.host, own.what, own.leads, own.role,
        extract(epoch FROM clock_timestamp() - own.since)::float8,
        extract(epoch FROM own.expires - clock_timestamp())::float8, {schema}.is_over(own.expires)
    FROM {schema}.presences AS own ORDER BY own.since, own.pid
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
GRANT USAGE ON SCHEMA {schema} TO {schema}_member;
GRANT SELECT ON {schema}.state, {schema}.lines, {schema}.blobs TO {schema}_member;
GRANT SELECT ON {schema}.lease, {schema}.holds, {schema}.grants
    TO {schema}_leader, {schema}_worker, {schema}_member, {schema}_reader;
GRANT EXECUTE ON FUNCTION {schema}.there()
    TO {schema}_leader, {schema}_worker, {schema}_member, {schema}_reader;
GRANT EXECUTE ON FUNCTION {schema}.send(text[], text, bigint), {schema}.put_blob(bytea),
    {schema}.beat(text, text, text, text, bigint), {schema}.leave(text, text, bigint)
    TO {schema}_leader, {schema}_worker, {schema}_member;
GRANT EXECUTE ON FUNCTION {schema}.lead(text, text, boolean) TO {schema}_leader;
