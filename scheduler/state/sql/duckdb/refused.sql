-- Compiled from projections.py by `make sql`.
WITH "t2" AS (
  SELECT
    *
  FROM "events" AS "t0"
  WHERE
    "t0"."sender" = 'scheduler' AND "t0"."kind" = 'run.finished'
)
SELECT
  *
FROM (
  SELECT
    "t3"."seq",
    "t3"."id",
    "t3"."ts",
    "t3"."kind",
    "t3"."sender",
    "t3"."ref",
    "t3"."run",
    "t3"."data",
    "t3"."hash"
  FROM (
    SELECT
      *
    FROM "events" AS "t0"
    WHERE
      "t0"."sender" = 'scheduler' AND "t0"."kind" IN ('run.started', 'run.finished')
  ) AS "t3"
  SEMI JOIN (
    SELECT
      "t10"."run" AS "ended"
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t5"."v",
          "t5"."seq",
          "t5"."id",
          "t5"."ts",
          "t5"."kind",
          "t5"."sender",
          "t5"."recipients",
          "t5"."subject",
          "t5"."body",
          "t5"."thread",
          "t5"."reply_to",
          "t5"."priority",
          "t5"."ref",
          "t5"."run",
          "t5"."data",
          "t5"."prev",
          "t5"."hash",
          "t8"."since"
        FROM "t2" AS "t5"
        CROSS JOIN (
          SELECT
            MIN("t6"."seq") AS "since"
          FROM (
            SELECT
              *
            FROM "t2" AS "t4"
            WHERE
              CASE
                WHEN JSON_TYPE("t4"."data" -> '$.status') = 'VARCHAR'
                THEN (
                  "t4"."data" -> '$.status'
                ) ->> '$'
                ELSE NULL
              END = 'limited'
              AND CASE
                WHEN JSON_TYPE("t4"."data" -> '$.until') = 'VARCHAR'
                THEN (
                  "t4"."data" -> '$.until'
                ) ->> '$'
                ELSE NULL
              END > $now
          ) AS "t6"
        ) AS "t8"
      ) AS "t9"
      WHERE
        "t9"."seq" >= "t9"."since"
        AND (
          (
            (
              CASE
                WHEN JSON_TYPE("t9"."data" -> '$.status') = 'VARCHAR'
                THEN (
                  "t9"."data" -> '$.status'
                ) ->> '$'
                ELSE NULL
              END = 'limited'
            )
            AND (
              CASE
                WHEN JSON_TYPE("t9"."data" -> '$.until') = 'VARCHAR'
                THEN (
                  "t9"."data" -> '$.until'
                ) ->> '$'
                ELSE NULL
              END > $now
            )
          )
          OR (
            CASE
              WHEN JSON_TYPE("t9"."data" -> '$.status') = 'VARCHAR'
              THEN (
                "t9"."data" -> '$.status'
              ) ->> '$'
              ELSE NULL
            END = 'ok'
          )
        )
    ) AS "t10"
  ) AS "t12"
    ON "t3"."run" = "t12"."ended"
) AS "t13"
ORDER BY
  "t13"."seq" ASC
