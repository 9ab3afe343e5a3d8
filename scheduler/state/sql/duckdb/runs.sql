-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    *
  FROM (
    SELECT
      "t8"."seq",
      "t8"."run",
      COALESCE("t5"."how", 'open') AS "status"
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t3"."seq",
          "t3"."run",
          CASE
            WHEN JSON_TYPE("t3"."data" -> '$.persona') = 'VARCHAR'
            THEN (
              "t3"."data" -> '$.persona'
            ) ->> '$'
            ELSE NULL
          END AS "persona",
          CASE
            WHEN JSON_TYPE("t3"."data" -> '$.sprint') IN ('UBIGINT', 'BIGINT')
            THEN CAST("t3"."data" -> '$.sprint' AS BIGINT)
            ELSE NULL
          END AS "sprint",
          CASE
            WHEN JSON_TYPE("t3"."data" -> '$.dispatch') = 'VARCHAR'
            THEN (
              "t3"."data" -> '$.dispatch'
            ) ->> '$'
            ELSE NULL
          END AS "dispatch"
        FROM (
          SELECT
            *
          FROM (
            SELECT
              *
            FROM "events" AS "t0"
            WHERE
              "t0"."sender" = 'scheduler'
          ) AS "t1"
          WHERE
            "t1"."kind" = 'run.started' AND "t1"."seq" < CAST($before AS BIGINT)
        ) AS "t3"
      ) AS "t6"
      WHERE
        (
          (
            $persona IS NULL
          ) OR (
            "t6"."persona" = $persona
          )
        )
        AND (
          (
            CAST($sprint AS BIGINT) IS NULL
          )
          OR (
            (
              "t6"."sprint" = CAST($sprint AS BIGINT)
            )
            AND (
              "t6"."dispatch" IS NULL
            )
          )
        )
        AND (
          (
            $dispatch IS NULL
          )
          OR (
            "t6"."dispatch" = $dispatch
          )
        )
    ) AS "t8"
    LEFT OUTER JOIN (
      SELECT
        "t2"."over",
        FIRST("t2"."how" ORDER BY "t2"."seq") AS "how"
      FROM (
        SELECT
          "t0"."seq",
          "t0"."run" AS "over",
          CASE
            WHEN "t0"."kind" = 'run.lost'
            THEN 'lost'
            ELSE CASE
              WHEN JSON_TYPE("t0"."data" -> '$.status') = 'VARCHAR'
              THEN (
                "t0"."data" -> '$.status'
              ) ->> '$'
              ELSE NULL
            END
          END AS "how"
        FROM "events" AS "t0"
        WHERE
          "t0"."sender" = 'scheduler' AND "t0"."kind" IN ('run.finished', 'run.lost')
      ) AS "t2"
      GROUP BY
        1
    ) AS "t5"
      ON "t8"."run" = "t5"."over"
  ) AS "t9"
  WHERE
    (
      $status IS NULL
    ) OR (
      "t9"."status" = $status
    )
) AS "t10"
ORDER BY
  "t10"."seq" DESC
LIMIT $limit
