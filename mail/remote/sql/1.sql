-- Version 1 of the schema of one team: the log, its blobs, and the functions by which clients write them.
-- Run in one transaction as the owner of the schema. Clients have no right over the tables but to read them.

-- What there is once: version, segment_bytes, why the log is closed, and who leads.
CREATE TABLE {schema}.state (
    name text COLLATE "C" PRIMARY KEY,
    value text COLLATE "C" NOT NULL
);

-- `size` is the number of bytes of the line's segment up to the end of the line: segments are the same on every host.
CREATE TABLE {schema}.lines (
    seq bigint PRIMARY KEY CHECK (seq > 0),
    id text COLLATE "C" NOT NULL UNIQUE,
    line text COLLATE "C" NOT NULL,
    size bigint NOT NULL
);

CREATE TABLE {schema}.blobs (
    sha256 text COLLATE "C" PRIMARY KEY,
    data bytea NOT NULL,
    CHECK (sha256 = encode(sha256(data), 'hex'))
);

-- Whoever appends locks this table. Only its owner can; an advisory lock, any login could take, and stop every append.
CREATE TABLE {schema}.turn ();

CREATE FUNCTION {schema}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only' USING ERRCODE = 'TM002';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {schema}.lines
    FOR EACH ROW EXECUTE FUNCTION {schema}.refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON {schema}.lines
    EXECUTE FUNCTION {schema}.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {schema}.blobs
    FOR EACH ROW EXECUTE FUNCTION {schema}.refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON {schema}.blobs
    EXECUTE FUNCTION {schema}.refuse_change();

-- Why a value within `data` is refused; NULL if it is not. `depth` is its level of nesting, 1 for `data` itself.
CREATE FUNCTION {schema}.data_refusal(value json, depth integer) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind text := json_typeof(value);
    part json;
    why text;
BEGIN
    IF depth > 32 THEN
        RETURN 'data is nested deeper than 32';
    ELSIF kind = 'number' THEN
        IF value::text !~ '[.eE]' THEN
            IF abs(value::text::numeric) > 9007199254740992 THEN
                RETURN 'an integer is beyond 2^53 and would not survive every reader';
            END IF;
        ELSIF abs(value::text::float8) = 'Infinity' THEN
            RETURN 'NaN and infinity are not JSON';
        END IF;
        RETURN NULL;
    ELSIF kind = 'object' THEN
        IF (SELECT count(*) <> count(DISTINCT each.key COLLATE "C") FROM json_each(value) AS each) THEN
            RETURN 'JSON has a key twice';
        END IF;
        FOR part IN SELECT each.value FROM json_each(value) AS each
            WHERE json_typeof(each.value) IN ('object', 'array', 'number') OR depth >= 32
        LOOP
            why := {schema}.data_refusal(part, depth + 1);
            IF why IS NOT NULL THEN RETURN why; END IF;
        END LOOP;
    ELSIF kind = 'array' THEN
        FOR part IN SELECT each.value FROM json_array_elements(value) AS each(value)
            WHERE json_typeof(each.value) IN ('object', 'array', 'number') OR depth >= 32
        LOOP
            why := {schema}.data_refusal(part, depth + 1);
            IF why IS NOT NULL THEN RETURN why; END IF;
        END LOOP;
    END IF;
    RETURN NULL;
END $$;

-- Why the middle of a line, from the value of "id" to that of "data", is refused; NULL if it is one that the strict
-- writer makes. It is taken apart as JSON, and what is put together again has to be the same text.
CREATE FUNCTION {schema}.refusal(middle text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own record;
    people text;
    twice boolean;
    again text;
BEGIN
    IF octet_length(middle) + 200 > 1048576 THEN
        RETURN 'the event has ' || octet_length(middle) || ' bytes, the limit is 1048576; attach the rest as a file';
    ELSIF strpos(middle, E'\n') > 0 OR strpos(middle, E'\r') > 0 OR strpos(middle, E'\t') > 0 THEN
        RETURN 'the event has a line break';
    END IF;
    SELECT * INTO own FROM json_to_record(('{"id":' || middle || '}')::json) AS fields(
        id text, ts text, kind text, sender text, recipients json, subject text, body text, thread text,
        reply_to text, priority text, ref text, run text, data json
    );
    people := substr(own.recipients::text, 2, length(own.recipients::text) - 2);
    IF people !~ '^("[^"\\]*")?$' THEN -- not one plain name
        SELECT coalesce(string_agg(to_json(name)::text, ',' ORDER BY nth), ''),
            count(*) <> count(DISTINCT name COLLATE "C")
            INTO people, twice FROM json_array_elements_text(own.recipients) WITH ORDINALITY AS names(name, nth);
    END IF;
    again := '"' || own.id || '","ts":"' || own.ts || '","kind":"' || own.kind || '","sender":' || to_json(own.sender)
        || ',"recipients":[' || people || '],"subject":' || to_json(own.subject) || ',"body":' || to_json(own.body)
        || ',"thread":' || coalesce(to_json(own.thread)::text, 'null')
        || ',"reply_to":' || coalesce(to_json(own.reply_to)::text, 'null')
        || ',"priority":"' || own.priority || '","ref":' || coalesce(to_json(own.ref)::text, 'null')
        || ',"run":' || coalesce(to_json(own.run)::text, 'null') || ',"data":' || own.data;
    IF again IS DISTINCT FROM middle THEN
        RETURN 'the event is not written as team-mail writes one';
    ELSIF own.id !~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN
        RETURN 'the id is not a UUID in lower case';
    ELSIF own.ts !~ '^[0-9]{4}-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]\.[0-9]{6}Z$' THEN
        RETURN 'the time is not RFC 3339 in UTC';
    ELSIF own.kind !~ '^[a-z]+\.[a-z]+$' THEN
        RETURN 'the kind is not of the form noun.verb, lower case';
    ELSIF own.kind LIKE 'log.%' THEN
        RETURN 'events about the log itself are written by the server alone';
    ELSIF own.priority NOT IN ('low', 'normal', 'high', 'urgent') THEN
        RETURN 'the priority must be one of low, normal, high, urgent';
    ELSIF own.kind = 'mail.sent' AND own.thread IS NULL THEN
        RETURN 'a message has a thread';
    ELSIF twice THEN
        RETURN 'a recipient is named twice';
    ELSIF own.data::text ~ '^\{("[^"\\]*":("[^"\\]*"|true|false|null))?\}$' THEN
        RETURN NULL; -- of most mail: one key, and nothing in it that could be wrong
    ELSIF json_typeof(own.data) <> 'object' THEN
        RETURN 'data is not an object';
    END IF;
    PERFORM own.data::jsonb; -- refuses NUL and lone surrogates
    RETURN {schema}.data_refusal(own.data, 1);
END $$;

-- The line after `prev` at `seq`, and its hash.
CREATE FUNCTION {schema}.sealed(seq bigint, middle text, prev text, OUT line text, OUT hash text)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    line := '{"v":1,"seq":' || seq || ',"id":' || middle || ',"prev":"' || prev || '"';
    hash := left(encode(sha256(convert_to(line, 'UTF8')), 'hex'), 32);
    line := line || ',"hash":"' || hash || '"}';
END $$;

-- The middle of an event that the log writes about itself.
CREATE FUNCTION {schema}.own_event(kind text, data text) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT '"' || gen_random_uuid() || '","ts":"'
        || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        || '","kind":"' || kind || '","sender":"team-mail","recipients":[],"subject":"","body":"","thread":null,'
        || '"reply_to":null,"priority":"normal","ref":null,"run":null,"data":' || data
$$;

-- One line at the end of the log, whose lock the caller holds. `last` is the line before, `size` the bytes up to it.
CREATE FUNCTION {schema}.put(INOUT seq bigint, INOUT hash text, INOUT size bigint, middle text, begins boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    text_ text;
BEGIN
    seq := seq + 1;
    SELECT made.line, made.hash INTO text_, hash FROM {schema}.sealed(seq, middle, hash) AS made;
    size := CASE WHEN begins THEN 0 ELSE size END + octet_length(text_) + 1;
    INSERT INTO {schema}.lines VALUES (seq, substr(middle, 2, 36), text_, size);
END $$;

-- Append the events whose middles are given, in order, as one transaction. Of an event whose id the log has, `line` is
-- the line with that id, and nothing is written; of the others it is NULL.
CREATE FUNCTION {schema}.send(middles text[], place text)
RETURNS TABLE (id text, seq bigint, prev text, hash text, line text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off -- plans are kept, also those made while the log was short
AS $$
DECLARE
    why text;
    of_mail boolean;
    state record;
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
    ELSIF NOT of_mail AND NOT pg_has_role(session_user, '{schema}_leader', 'MEMBER') THEN
        RAISE EXCEPTION 'the role of % may append mail alone', session_user USING ERRCODE = 'TM003';
    END IF;
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    LOCK TABLE {schema}.turn IN EXCLUSIVE MODE;
    SELECT max(each.value) FILTER (WHERE each.name = 'closed') AS closed,
        max(each.value) FILTER (WHERE each.name = 'place') AS place,
        max(each.value) FILTER (WHERE each.name = 'host') AS host,
        max(each.value) FILTER (WHERE each.name = 'segment_bytes')::bigint AS most
        INTO state FROM {schema}.state AS each;
    IF state.closed IS NOT NULL THEN
        RAISE EXCEPTION '%', state.closed USING ERRCODE = 'TM005';
    ELSIF NOT of_mail AND state.place <> send.place THEN
        RAISE EXCEPTION '%', state.host USING ERRCODE = 'TM004';
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
        seq := last_seq;
        hash := last_hash;
        line := NULL;
        RETURN NEXT;
    END LOOP;
    PERFORM pg_notify('{schema}', last_seq::text);
END $$;

-- Store a blob.
CREATE FUNCTION {schema}.put_blob(data bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    INSERT INTO {schema}.blobs VALUES (encode(sha256(data), 'hex'), data) ON CONFLICT DO NOTHING;
END $$;

-- Lead from a place, unless another one leads; `force` takes it over. Returns the place on record, and its host.
CREATE FUNCTION {schema}.lead(new_place text, new_host text, force boolean, OUT place text, OUT host text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE {schema}.turn IN EXCLUSIVE MODE;
    SELECT own.value, named.value INTO place, host FROM {schema}.state AS own, {schema}.state AS named
        WHERE own.name = 'place' AND named.name = 'host';
    IF place IS NULL OR force THEN
        INSERT INTO {schema}.state VALUES ('place', new_place), ('host', new_host)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value;
        place := new_place;
        host := new_host;
    END IF;
END $$;

-- Append whole lines of another log of the same events, after seq `after`: the chain has to go on. For the owner.
CREATE FUNCTION {schema}.copy_in(given text[], after bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    each text;
    head text;
    last_seq bigint := 0;
    last_hash text := repeat('0', 32);
    last_size bigint := 0;
BEGIN
    LOCK TABLE {schema}.turn IN EXCLUSIVE MODE;
    SELECT own.seq, substr(right(own.line, 34), 1, 32), own.size INTO last_seq, last_hash, last_size
        FROM {schema}.lines AS own ORDER BY own.seq DESC LIMIT 1;
    last_seq := coalesce(last_seq, 0);
    last_hash := coalesce(last_hash, repeat('0', 32));
    last_size := coalesce(last_size, 0);
    IF last_seq <> after THEN
        RAISE EXCEPTION 'the log ends with event %, not %', last_seq, after USING ERRCODE = 'TM002';
    END IF;
    FOREACH each IN ARRAY given LOOP
        head := left(each, length(each) - 43);
        last_seq := last_seq + 1;
        IF NOT starts_with(each, '{"v":1,"seq":' || last_seq || ',"id":"')
            OR NOT head LIKE '%,"prev":"' || last_hash || '"' THEN
            RAISE EXCEPTION 'line % does not continue the chain', last_seq USING ERRCODE = 'TM002';
        END IF;
        last_hash := left(encode(sha256(convert_to(head, 'UTF8')), 'hex'), 32);
        IF each <> head || ',"hash":"' || last_hash || '"}' THEN
            RAISE EXCEPTION 'line % does not verify', last_seq USING ERRCODE = 'TM002';
        END IF;
        IF substr(each, 15 + length(last_seq::text), 120) LIKE '%,"kind":"log.opened",%' THEN
            last_size := 0;
        END IF;
        last_size := last_size + octet_length(each) + 1;
        INSERT INTO {schema}.lines VALUES (last_seq, substr(each, 21 + length(last_seq::text), 36), each, last_size);
    END LOOP;
    PERFORM pg_notify('{schema}', last_seq::text);
    RETURN last_seq;
END $$;

INSERT INTO {schema}.state VALUES ('segment_bytes', '16777216');

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
GRANT USAGE ON SCHEMA {schema} TO {schema}_leader, {schema}_worker, {schema}_reader;
GRANT SELECT ON {schema}.state, {schema}.lines, {schema}.blobs
    TO {schema}_leader, {schema}_worker, {schema}_reader;
GRANT EXECUTE ON FUNCTION {schema}.send(text[], text), {schema}.put_blob(bytea) TO {schema}_leader, {schema}_worker;
GRANT EXECUTE ON FUNCTION {schema}.lead(text, text, boolean) TO {schema}_leader;
