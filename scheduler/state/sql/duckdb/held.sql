-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    "t8"."ref",
    COALESCE(MAX("t8"."began"), 0) AS "since"
  FROM (
    SELECT
      "t7"."ref",
      "t7"."kind",
      "t7"."first",
      "t2"."began"
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t4"."ref",
          FIRST("t4"."kind" ORDER BY "t4"."seq" DESC) AS "kind",
          MIN("t4"."seq") FILTER(WHERE
            "t4"."kind" = 'patch.held') AS "first"
        FROM (
          SELECT
            *
          FROM (
            SELECT
              *
            FROM "standing" AS "t0"
            WHERE
              "t0"."sender" = 'weaver' AND "t0"."seq" < CAST($before AS BIGINT)
          ) AS "t3"
          WHERE
            "t3"."kind" IN (
              'patch.landed',
              'patch.conflicted',
              'patch.refused',
              'patch.rejected',
              'patch.held'
            )
        ) AS "t4"
        GROUP BY
          1
      ) AS "t5"
      WHERE
        "t5"."kind" = 'patch.held'
    ) AS "t7"
    LEFT OUTER JOIN (
      SELECT
        "t0"."seq" AS "began"
      FROM "standing" AS "t0"
      WHERE
        "t0"."kind" = 'sprint.started' AND "t0"."sender" = 'scheduler'
    ) AS "t2"
      ON "t2"."began" < "t7"."first"
  ) AS "t8"
  GROUP BY
    1
) AS "t9"
ORDER BY
  "t9"."ref" ASC
