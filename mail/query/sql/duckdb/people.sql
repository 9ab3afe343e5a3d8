-- Compiled from projections.py by `make sql`.
SELECT
  *
FROM (
  SELECT
    "t2"."name",
    COUNT(*) AS "mails"
  FROM (
    SELECT
      UNNEST(
        CASE
          WHEN "t1"."recipients" IS NULL OR CAST(["t1"."sender"] AS TEXT[]) IS NULL
          THEN NULL
          ELSE LIST_CONCAT("t1"."recipients", CAST(["t1"."sender"] AS TEXT[]))
        END
      ) AS "name"
    FROM (
      SELECT
        *
      FROM "events" AS "t0"
      WHERE
        "t0"."kind" = 'mail.sent'
    ) AS "t1"
  ) AS "t2"
  GROUP BY
    1
) AS "t3"
ORDER BY
  "t3"."name" ASC
