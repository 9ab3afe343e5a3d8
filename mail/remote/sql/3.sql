-- Version 3: a log can be begun before the first event of a client. What is named after its first event, such as the
-- folder of a team's workspaces, has to keep its name once there are more.

CREATE FUNCTION {schema}.open_log() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    why text;
BEGIN
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    LOCK TABLE {schema}.turn IN EXCLUSIVE MODE;
    SELECT value INTO why FROM {schema}.state WHERE name = 'closed';
    IF why IS NOT NULL THEN
        RAISE EXCEPTION '%', why USING ERRCODE = 'TM005';
    ELSIF NOT EXISTS (SELECT FROM {schema}.lines) THEN
        PERFORM {schema}.put(0, repeat('0', 32), 0, {schema}.own_event('log.opened', '{"format":1}'), true);
        PERFORM pg_notify('{schema}', '1');
    END IF;
END $$;

REVOKE ALL ON FUNCTION {schema}.open_log() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.open_log() TO {schema}_leader, {schema}_worker, {schema}_member;
