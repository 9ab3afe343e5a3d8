-- Compiled from projections.py by `make sql`.
WITH "t3" AS (
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
          "t0"."seq"
        FROM "events" AS "t0"
        WHERE
          "t0"."kind" = 'task.finished'
          AND CASE
            WHEN JSON_TYPE("t0"."data" -> '$.dispatch') = 'VARCHAR'
            THEN (
              "t0"."data" -> '$.dispatch'
            ) ->> '$'
            ELSE NULL
          END IS NULL
      ) AS "t23"
      UNION
      SELECT
        *
      FROM (
        SELECT
          "t0"."seq"
        FROM "events" AS "t0"
        WHERE
          "t0"."sender" = 'weaver' AND "t0"."kind" = 'patch.held'
      ) AS "t5"
    ) AS "t25"
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
            "t0"."sender" = 'weaver'
            AND "t0"."kind" IN ('patch.landed', 'patch.conflicted', 'patch.refused', 'patch.rejected')
        ) AS "t16"
        ANTI JOIN (
          SELECT
            "t0"."run" AS "begun"
          FROM "events" AS "t0"
          WHERE
            "t0"."sender" = 'scheduler' AND "t0"."kind" = 'run.started'
        ) AS "t18"
          ON "t16"."ref" = "t18"."begun"
      ) AS "t29"
      UNION
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
            "t0"."sender" = 'weaver'
            AND "t0"."kind" IN ('patch.landed', 'patch.conflicted', 'patch.refused', 'patch.rejected')
        ) AS "t16"
        SEMI JOIN (
          SELECT
            "t0"."ref" AS "kept"
          FROM "events" AS "t0"
          WHERE
            "t0"."sender" = 'weaver' AND "t0"."kind" = 'patch.held'
        ) AS "t17"
          ON "t16"."ref" = "t17"."kept"
      ) AS "t28"
    ) AS "t32"
  ) AS "t35"
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
          "t22"."seq"
        FROM "t3" AS "t22"
        SEMI JOIN (
          SELECT DISTINCT
            *
          FROM (
            SELECT
              "t27"."id" AS "open"
            FROM (
              SELECT
                "t14"."seq",
                "t14"."id",
                "t14"."ts",
                "t14"."kind",
                "t14"."sender",
                "t14"."recipients",
                "t14"."subject",
                "t14"."thread",
                "t14"."reply_to",
                "t14"."priority",
                "t14"."ref",
                "t14"."run",
                "t14"."data",
                UNNEST("t14"."recipients") AS "persona"
              FROM "t3" AS "t14"
            ) AS "t27"
            ANTI JOIN (
              SELECT
                "t0"."sender",
                "t0"."ref" AS "closed"
              FROM "events" AS "t0"
              WHERE
                "t0"."kind" = 'mail.read'
            ) AS "t15"
              ON "t27"."id" = "t15"."closed" AND "t27"."persona" = "t15"."sender"
          ) AS "t37"
        ) AS "t39"
          ON "t22"."id" = "t39"."open"
      ) AS "t40"
      UNION
      SELECT
        *
      FROM (
        SELECT
          "t12"."seq"
        FROM (
          SELECT
            *
          FROM "events" AS "t0"
          WHERE
            "t0"."kind" IN ('mail.read', 'mail.archived', 'mail.trashed', 'mail.bounced')
        ) AS "t12"
        ANTI JOIN (
          SELECT
            "t22"."id" AS "settled"
          FROM "t3" AS "t22"
          ANTI JOIN (
            SELECT DISTINCT
              *
            FROM (
              SELECT
                "t27"."id" AS "open"
              FROM (
                SELECT
                  "t14"."seq",
                  "t14"."id",
                  "t14"."ts",
                  "t14"."kind",
                  "t14"."sender",
                  "t14"."recipients",
                  "t14"."subject",
                  "t14"."thread",
                  "t14"."reply_to",
                  "t14"."priority",
                  "t14"."ref",
                  "t14"."run",
                  "t14"."data",
                  UNNEST("t14"."recipients") AS "persona"
                FROM "t3" AS "t14"
              ) AS "t27"
              ANTI JOIN (
                SELECT
                  "t0"."sender",
                  "t0"."ref" AS "closed"
                FROM "events" AS "t0"
                WHERE
                  "t0"."kind" = 'mail.read'
              ) AS "t15"
                ON "t27"."id" = "t15"."closed" AND "t27"."persona" = "t15"."sender"
            ) AS "t37"
          ) AS "t39"
            ON "t22"."id" = "t39"."open"
        ) AS "t42"
          ON "t12"."ref" = "t42"."settled"
      ) AS "t43"
    ) AS "t44"
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
            "t0"."seq"
          FROM "events" AS "t0"
          WHERE
            REGEXP_MATCHES(
              "t0"."kind",
              '^(sprint|dispatch|scheduler|session|claim)\.|^(round\.paused|deploy\.finished|task\.opened)$'
            )
            OR "t0"."kind" IN ('mail.unread', 'mail.unarchived', 'mail.restored')
        ) AS "t13"
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
          ) AS "t21"
            ON "t19"."run" = "t21"."over"
        ) AS "t31"
      ) AS "t34"
      UNION
      SELECT
        *
      FROM (
        SELECT
          *
        FROM (
          SELECT
            "t20"."seq"
          FROM (
            SELECT
              *
            FROM "events" AS "t0"
            WHERE
              "t0"."sender" = 'scheduler' AND "t0"."kind" IN ('run.finished', 'run.lost')
          ) AS "t20"
          ANTI JOIN (
            SELECT
              "t0"."run" AS "begun"
            FROM "events" AS "t0"
            WHERE
              "t0"."sender" = 'scheduler' AND "t0"."kind" = 'run.started'
          ) AS "t18"
            ON "t20"."run" = "t18"."begun"
        ) AS "t30"
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
        ) AS "t24"
      ) AS "t33"
    ) AS "t36"
  ) AS "t45"
) AS "t47"
  ON "t1"."seq" = "t47"."seq"
