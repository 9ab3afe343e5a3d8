-- Compiled from projections.py by `make sql`.
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
  "t2"."data",
  "t2"."body",
  LOWER(
    "t2"."subject" || ' ' || "t2"."subject" || ' ' || "t2"."subject" || ' ' || "t2"."body"
  ) AS "text",
  LENGTH(
    LOWER(
      "t2"."subject" || ' ' || "t2"."subject" || ' ' || "t2"."subject" || ' ' || "t2"."body"
    )
  ) AS "length"
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
    (
      $persona IS NULL
    )
    OR ARRAY_CONTAINS("t1"."recipients", $persona)
    OR (
      "t1"."sender" = $persona
    )
) AS "t2"
