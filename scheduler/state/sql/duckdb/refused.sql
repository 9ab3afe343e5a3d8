-- Compiled from projections.py by `make sql`.
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
      "t5"."run" AS "ended"
    FROM (
      SELECT
        *
      FROM (
        SELECT
          *
        FROM (
          SELECT
            *
          FROM "events" AS "t0"
          WHERE
            "t0"."sender" = 'scheduler'
        ) AS "t2"
        WHERE
          "t2"."kind" = 'run.finished' AND "t2"."seq" >= CAST($since AS BIGINT)
      ) AS "t4"
      WHERE
        (
          (
            CASE
              WHEN JSON_TYPE("t4"."data" -> '$.status') = 'VARCHAR'
              THEN (
                "t4"."data" -> '$.status'
              ) ->> '$'
              ELSE NULL
            END = 'limited'
          )
          AND (
            CASE
              WHEN JSON_TYPE("t4"."data" -> '$.until') = 'VARCHAR'
              THEN (
                "t4"."data" -> '$.until'
              ) ->> '$'
              ELSE NULL
            END > $now
          )
        )
        OR (
          CASE
            WHEN JSON_TYPE("t4"."data" -> '$.status') = 'VARCHAR'
            THEN (
              "t4"."data" -> '$.status'
            ) ->> '$'
            ELSE NULL
          END = 'ok'
        )
    ) AS "t5"
  ) AS "t7"
    ON "t3"."run" = "t7"."ended"
) AS "t8"
ORDER BY
  "t8"."seq" ASC
