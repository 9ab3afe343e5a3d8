-- Compiled from projections.py by `make sql`.
WITH "t10" AS (
  SELECT
    *
  FROM "events" AS "t0"
  WHERE
    "t0"."kind" = 'mail.sent'
)
SELECT
  "t1"."seq",
  "t1"."id",
  "t1"."ts",
  "t1"."kind",
  "t1"."sender",
  "t1"."recipients",
  "t1"."subject",
  "t1"."thread",
  "t1"."reply_to",
  "t1"."priority",
  "t1"."ref",
  "t1"."run",
  "t1"."data",
  "t1"."hash"
FROM "events" AS "t1"
SEMI JOIN (
  SELECT
    *
  FROM (
    SELECT
      *
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t13"."seq"
        FROM (
          SELECT
            *
          FROM "events" AS "t0"
          WHERE
            "t0"."sender" = 'scheduler' AND "t0"."kind" IN ('run.finished', 'run.lost')
        ) AS "t13"
        ANTI JOIN (
          SELECT
            "t0"."run" AS "begun"
          FROM "events" AS "t0"
          WHERE
            "t0"."sender" = 'scheduler' AND "t0"."kind" = 'run.started'
        ) AS "t18"
          ON "t13"."run" = "t18"."begun"
      ) AS "t26"
      UNION
      SELECT
        *
      FROM (
        SELECT
          "t0"."seq"
        FROM "events" AS "t0"
        WHERE
          "t0"."sender" = 'scheduler'
          AND "t0"."kind" = 'run.finished'
          AND CASE
            WHEN JSON_TYPE("t0"."data" -> '$.until') = 'VARCHAR'
            THEN (
              "t0"."data" -> '$.until'
            ) ->> '$'
            ELSE NULL
          END IS NOT NULL
      ) AS "t23"
    ) AS "t30"
    UNION
    SELECT
      *
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t0"."seq"
        FROM "events" AS "t0"
        WHERE
          "t0"."sender" = 'weaver' AND "t0"."kind" = 'patch.held'
      ) AS "t2"
      UNION
      SELECT
        *
      FROM (
        SELECT
          "t15"."seq"
        FROM (
          SELECT
            *
          FROM "events" AS "t0"
          WHERE
            "t0"."sender" = 'weaver'
            AND "t0"."kind" IN ('patch.landed', 'patch.conflicted', 'patch.refused', 'patch.rejected')
        ) AS "t15"
        ANTI JOIN (
          SELECT
            "t0"."run" AS "begun"
          FROM "events" AS "t0"
          WHERE
            "t0"."sender" = 'scheduler' AND "t0"."kind" = 'run.started'
        ) AS "t18"
          ON "t15"."ref" = "t18"."begun"
      ) AS "t27"
    ) AS "t31"
  ) AS "t33"
  UNION
  SELECT
    *
  FROM (
    SELECT
      *
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t15"."seq"
        FROM (
          SELECT
            *
          FROM "events" AS "t0"
          WHERE
            "t0"."sender" = 'weaver'
            AND "t0"."kind" IN ('patch.landed', 'patch.conflicted', 'patch.refused', 'patch.rejected')
        ) AS "t15"
        SEMI JOIN (
          SELECT
            "t0"."ref" AS "kept"
          FROM "events" AS "t0"
          WHERE
            "t0"."sender" = 'weaver' AND "t0"."kind" = 'patch.held'
        ) AS "t12"
          ON "t15"."ref" = "t12"."kept"
      ) AS "t25"
      UNION
      SELECT
        *
      FROM (
        SELECT
          "t22"."seq"
        FROM "t10" AS "t22"
        SEMI JOIN (
          SELECT DISTINCT
            *
          FROM (
            SELECT
              "t29"."id" AS "open"
            FROM (
              SELECT
                "t20"."seq",
                "t20"."id",
                "t20"."ts",
                "t20"."kind",
                "t20"."sender",
                "t20"."recipients",
                "t20"."subject",
                "t20"."thread",
                "t20"."reply_to",
                "t20"."priority",
                "t20"."ref",
                "t20"."run",
                "t20"."data",
                UNNEST("t20"."recipients") AS "persona"
              FROM "t10" AS "t20"
            ) AS "t29"
            ANTI JOIN (
              SELECT
                "t0"."sender",
                "t0"."ref" AS "closed"
              FROM "events" AS "t0"
              WHERE
                "t0"."kind" = 'mail.read'
            ) AS "t21"
              ON "t29"."id" = "t21"."closed" AND "t29"."persona" = "t21"."sender"
          ) AS "t34"
        ) AS "t36"
          ON "t22"."id" = "t36"."open"
      ) AS "t37"
    ) AS "t39"
    UNION
    SELECT
      *
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t16"."seq"
        FROM (
          SELECT
            *
          FROM "events" AS "t0"
          WHERE
            "t0"."kind" IN ('mail.read', 'mail.archived', 'mail.trashed', 'mail.bounced')
        ) AS "t16"
        ANTI JOIN (
          SELECT
            "t22"."id" AS "settled"
          FROM "t10" AS "t22"
          ANTI JOIN (
            SELECT DISTINCT
              *
            FROM (
              SELECT
                "t29"."id" AS "open"
              FROM (
                SELECT
                  "t20"."seq",
                  "t20"."id",
                  "t20"."ts",
                  "t20"."kind",
                  "t20"."sender",
                  "t20"."recipients",
                  "t20"."subject",
                  "t20"."thread",
                  "t20"."reply_to",
                  "t20"."priority",
                  "t20"."ref",
                  "t20"."run",
                  "t20"."data",
                  UNNEST("t20"."recipients") AS "persona"
                FROM "t10" AS "t20"
              ) AS "t29"
              ANTI JOIN (
                SELECT
                  "t0"."sender",
                  "t0"."ref" AS "closed"
                FROM "events" AS "t0"
                WHERE
                  "t0"."kind" = 'mail.read'
              ) AS "t21"
                ON "t29"."id" = "t21"."closed" AND "t29"."persona" = "t21"."sender"
            ) AS "t34"
          ) AS "t36"
            ON "t22"."id" = "t36"."open"
        ) AS "t40"
          ON "t16"."ref" = "t40"."settled"
      ) AS "t41"
      UNION
      SELECT
        *
      FROM (
        SELECT
          *
        FROM (
          SELECT
            "t0"."seq"
          FROM "events" AS "t0"
          WHERE
            REGEXP_MATCHES(
              "t0"."kind",
              '^(sprint|dispatch|scheduler|session)\.|^(round\.paused|deploy\.finished)$'
            )
            OR "t0"."kind" IN ('mail.unread', 'mail.unarchived', 'mail.restored')
        ) AS "t17"
        UNION
        SELECT
          *
        FROM (
          SELECT
            "t19"."seq"
          FROM (
            SELECT
              *
            FROM "events" AS "t0"
            WHERE
              "t0"."sender" = 'scheduler' AND "t0"."kind" = 'run.started'
          ) AS "t19"
          ANTI JOIN (
            SELECT
              "t0"."run" AS "over"
            FROM "events" AS "t0"
            WHERE
              "t0"."sender" = 'scheduler' AND "t0"."kind" IN ('run.finished', 'run.lost')
          ) AS "t14"
            ON "t19"."run" = "t14"."over"
        ) AS "t28"
      ) AS "t32"
    ) AS "t42"
  ) AS "t43"
) AS "t45"
  ON "t1"."seq" = "t45"."seq"
