-- Compiled from projections.py by `make sql`.
WITH "t4" AS (
  SELECT
    *
  FROM (
    SELECT
      *
    FROM "events" AS "t0"
    WHERE
      CONTAINS(CAST("t0"."data" AS TEXT), $written)
  ) AS "t3"
  WHERE
    CASE
      WHEN JSON_TYPE("t3"."data" -> '$.session') = 'VARCHAR'
      THEN (
        "t3"."data" -> '$.session'
      ) ->> '$'
      ELSE NULL
    END = $session
), "t7" AS (
  SELECT
    "t5"."run" AS "started"
  FROM "t4" AS "t5"
  WHERE
    "t5"."kind" = 'run.started' AND "t5"."sender" = 'scheduler'
)
SELECT
  *
FROM (
  SELECT
    "t1"."seq",
    "t1"."id",
    "t1"."ts",
    "t1"."kind",
    "t1"."sender",
    "t1"."ref",
    "t1"."run",
    "t1"."data",
    "t1"."hash",
    "t1"."recipients",
    "t1"."subject",
    "t1"."body",
    "t1"."thread",
    "t1"."reply_to",
    "t1"."priority"
  FROM "events" AS "t1"
  SEMI JOIN (
    SELECT
      *
    FROM (
      SELECT
        "t5"."seq"
      FROM "t4" AS "t5"
    ) AS "t6"
    UNION
    SELECT
      *
    FROM (
      SELECT
        "t9"."seq"
      FROM (
        SELECT
          *
        FROM (
          SELECT
            *
          FROM "events" AS "t0"
          WHERE
            REGEXP_MATCHES("t0"."kind", '^(run|patch)\.')
        ) AS "t2"
        WHERE
          "t2"."run" IN (
            SELECT
              *
            FROM "t7"
          )
          OR "t2"."ref" IN (
            SELECT
              *
            FROM "t7"
          )
      ) AS "t9"
    ) AS "t10"
  ) AS "t12"
    ON "t1"."seq" = "t12"."seq"
) AS "t13"
ORDER BY
  "t13"."seq" ASC
