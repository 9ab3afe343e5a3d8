-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    "t5"."seq",
    "t5"."id",
    "t5"."ts",
    "t5"."kind",
    "t5"."sender",
    "t5"."ref",
    "t5"."run",
    "t5"."data",
    "t5"."hash"
  FROM (
    SELECT
      *
    FROM (
      SELECT
        *
      FROM "standing" AS "t0"
      WHERE
        "t0"."sender" = 'scheduler' AND "t0"."kind" = 'run.started'
    ) AS "t1"
    WHERE
      (
        CAST($roster AS TEXT[]) IS NULL
      )
      OR ARRAY_CONTAINS(
        CAST($roster AS TEXT[]),
        CASE
          WHEN JSON_TYPE("t1"."data" -> '$.persona') = 'VARCHAR'
          THEN (
            "t1"."data" -> '$.persona'
          ) ->> '$'
          ELSE NULL
        END
      )
  ) AS "t5"
  ANTI JOIN (
    SELECT
      "t0"."run" AS "ended"
    FROM "standing" AS "t0"
    WHERE
      "t0"."sender" = 'scheduler' AND "t0"."kind" IN ('run.finished', 'run.lost')
  ) AS "t3"
    ON "t5"."run" = "t3"."ended"
) AS "t6"
ORDER BY
  "t6"."seq" ASC
