-- Version 4: what a login of its own making sends is judged in every form that it can have.

-- An array can begin with another number than 1, or have two dimensions: then its first event is NULL, and whoever asked
-- about that would let through what is written. What is not there is refused.
ALTER FUNCTION {schema}.refusal(text) RENAME TO refusal_of_text;
CREATE FUNCTION {schema}.refusal(middle text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN middle IS NULL THEN 'there is no event' ELSE {schema}.refusal_of_text(middle) END
$$;
REVOKE ALL ON FUNCTION {schema}.refusal(text) FROM PUBLIC;

-- What processes tell of themselves, all hosts read: it is small, JSON that every reader can read, and not without end.
ALTER TABLE {schema}.presences
    ADD CONSTRAINT small CHECK (octet_length(process) + octet_length(place) + octet_length(host) < 16384) NOT VALID,
    ADD CONSTRAINT readable CHECK (
        json_typeof(process::json) = 'object' AND {schema}.data_refusal(process::json, 1) IS NULL
        AND json_typeof(what::json) = 'object' AND {schema}.data_refusal(what::json, 1) IS NULL
    ) NOT VALID;

CREATE FUNCTION {schema}.check_presence() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    most integer := 500;
BEGIN
    IF pg_has_role(session_user, '{schema}_leader', 'MEMBER') THEN
        RETURN NEW;
    END IF;
    NEW.leads := 0;
    IF TG_OP = 'INSERT' AND (SELECT count(*) FROM {schema}.presences AS own WHERE own.role = session_user) >= most THEN
        DELETE FROM {schema}.presences AS own WHERE own.role = session_user AND own.expires < clock_timestamp();
        IF (
            SELECT count(*) FROM {schema}.presences AS own WHERE own.role = session_user
                AND (own.boot, own.pid, own.start) IS DISTINCT FROM (NEW.boot, NEW.pid, NEW.start)
        ) >= most THEN
            RAISE EXCEPTION 'it tells of % processes already', most USING ERRCODE = 'TM003';
        END IF;
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION {schema}.check_presence() FROM PUBLIC;
CREATE TRIGGER checked BEFORE INSERT OR UPDATE ON {schema}.presences
    FOR EACH ROW EXECUTE FUNCTION {schema}.check_presence();
