-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    *
  FROM (
    SELECT
      "t2"."seq",
      "t2"."id",
      "t2"."ts",
      "t2"."sender",
      "t2"."recipients",
      "t2"."subject",
      COALESCE(
        CASE
          WHEN JSON_TYPE("t2"."data" -> '$.type') = 'VARCHAR'
          THEN (
            "t2"."data" -> '$.type'
          ) ->> '$'
          ELSE NULL
        END,
        'note'
      ) AS "type",
      "t2"."priority",
      "t2"."thread",
      "t2"."reply_to",
      "t2"."run",
      "t2"."data"
    FROM (
      SELECT
        *
      FROM (
        SELECT
          *
        FROM "events" AS "t0"
        WHERE
          "t0"."kind" = 'mail.sent'
      ) AS "t1"
      WHERE
        CASE
          WHEN JSON_TYPE("t1"."data" -> '$.channel') = 'VARCHAR'
          THEN (
            "t1"."data" -> '$.channel'
          ) ->> '$'
          ELSE NULL
        END = $channel
    ) AS "t2"
  ) AS "t3"
  WHERE
    (
      (
        $sender IS NULL
      ) OR (
        "t3"."sender" = $sender
      )
    )
    AND (
      (
        $type IS NULL
      ) OR (
        "t3"."type" = $type
      )
    )
) AS "t4"
ORDER BY
  "t4"."seq" DESC
LIMIT $limit
