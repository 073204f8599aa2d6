.headers on
.mode column
SELECT count(*), round(sum(amount), 2), min(day), max(day) FROM orders;
SELECT region, round(total, 2) AS total, n FROM totals ORDER BY region;
SELECT c.name, count(*) AS n, round(sum(o.amount), 2) AS total FROM orders o JOIN customer c ON c.id = o.customer
  WHERE o.day BETWEEN '2021-03-01' AND '2021-03-31' GROUP BY c.id ORDER BY total DESC, c.name LIMIT 5;
SELECT day, round(amount, 2) AS amount, round(avg(amount) OVER (ORDER BY id ROWS 3 PRECEDING), 4) AS moving
  FROM orders WHERE id < 8;
.mode list
WITH RECURSIVE fib(a, b) AS (SELECT 0, 1 UNION ALL SELECT b, a + b FROM fib WHERE b < 1000000) SELECT max(a) FROM fib;
SELECT group_concat(name, ';') FROM (SELECT name FROM customer WHERE name GLOB '*00[1-5]' ORDER BY name);
SELECT json_extract('{"a":[1,2,{"b":"x"}]}', '$.a[2].b'), upper('text'), substr('sqlite', 3), hex('cell');
SELECT strftime('%Y-%m-%d %H:%M:%S', 1234567890, 'unixepoch'), julianday('2000-01-01'), printf('%08.3f', 3.14159);
EXPLAIN QUERY PLAN SELECT * FROM orders WHERE customer = 5 AND day > '2021-01-01';
BEGIN;
UPDATE orders SET amount = amount + 1 WHERE id % 10 = 0;
DELETE FROM orders WHERE id % 1000 = 0;
SELECT changes(), (SELECT round(sum(amount), 2) FROM orders);
ROLLBACK;
SELECT count(*), round(sum(amount), 2) FROM orders;
SELECT nothing FROM nowhere;
INSERT INTO customer VALUES (1, 'again', 'north');
PRAGMA integrity_check;
VACUUM;
SELECT count(*) FROM orders;
