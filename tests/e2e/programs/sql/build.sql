-- A database of orders; :rows comes from the caller. Everything in it follows from row numbers.
PRAGMA page_size = 4096;
PRAGMA journal_mode = DELETE;
CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT NOT NULL, region TEXT NOT NULL);
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customer, day TEXT NOT NULL,
  amount REAL NOT NULL, note TEXT);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
INSERT INTO customer SELECT i, printf('customer %04d', i * 7919 % 1000),
  CASE i % 4 WHEN 0 THEN 'north' WHEN 1 THEN 'east' WHEN 2 THEN 'south' ELSE 'west' END FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < @ROWS@)
INSERT INTO orders SELECT i, 1 + i * 31 % 1000, date('2020-01-01', (i % 1500) || ' days'), (i * 37 % 10007) / 100.0,
  hex(zeroblob(20)) || '-note-' || (i * 104729 % 1000003) FROM n;
COMMIT;
CREATE INDEX orders_by_customer ON orders(customer, day);
CREATE INDEX orders_by_day ON orders(day);
CREATE VIEW totals AS SELECT c.region, sum(o.amount) AS total, count(*) AS n
  FROM orders o JOIN customer c ON c.id = o.customer GROUP BY c.region;
