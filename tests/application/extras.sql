-- What the application's database lacks and the proof of a restored database must know, in a schema of its own.
--
-- Runs after application.sql, as the same owner, with the role `leitura` in place.

CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE EXTENSION IF NOT EXISTS citext;
CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE SCHEMA extras;
GRANT USAGE ON SCHEMA extras TO leitura;
GRANT SELECT ON beneficiaries, enrollments TO leitura;
ALTER DEFAULT PRIVILEGES IN SCHEMA extras GRANT SELECT ON TABLES TO leitura;

CREATE TYPE extras.situation AS ENUM ('aberta', 'em análise', 'encerrada', 'nunca usada');
CREATE DOMAIN extras.cpf AS text CHECK (VALUE ~ '^[0-9]{11}$');
CREATE TYPE extras.place AS (street text, number integer);
CREATE COLLATION extras.portuguese (provider = icu, locale = 'pt-BR');

-- Identity and generated columns, constraints of every kind, a gap where a column was dropped.
CREATE TABLE extras.cases (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  forgotten text,
  situation extras.situation NOT NULL DEFAULT 'aberta',
  cpf extras.cpf,
  title text COLLATE extras.portuguese NOT NULL,
  opened date NOT NULL,
  closed date,
  days integer GENERATED ALWAYS AS (closed - opened) STORED,
  address extras.place,
  contact citext,
  EXCLUDE USING gist (cpf WITH =, daterange(opened, closed) WITH &&),
  CONSTRAINT in_order CHECK (closed >= opened),
  UNIQUE (title) DEFERRABLE INITIALLY DEFERRED
);
ALTER TABLE extras.cases DROP COLUMN forgotten;
CREATE INDEX cases_title ON extras.cases USING gin (title gin_trgm_ops);
CREATE INDEX cases_open ON extras.cases (situation, opened) WHERE closed IS NULL;
CREATE STATISTICS extras.cases_days (dependencies) ON situation, opened FROM extras.cases;
COMMENT ON TABLE extras.cases IS 'casos';
GRANT SELECT (id, title), UPDATE (situation) ON extras.cases TO leitura;

INSERT INTO extras.cases (situation, cpf, title, opened, closed, address, contact)
SELECT (enum_range(NULL::extras.situation))[1 + n % 3], to_char(n * 7919, 'FM00000000000'), 'Caso nº ' || n,
  date '2026-01-01' + n, CASE WHEN n % 2 = 0 THEN date '2026-03-01' + n END, ROW('Rua ' || n, n)::extras.place,
  'Contato' || n || '@ong.example'
FROM generate_series(1, 120) n ORDER BY n;

-- A key of two columns, checked in full, and a child without a primary key that repeats its rows.
CREATE TABLE extras.stock (warehouse integer, item text, amount integer NOT NULL, PRIMARY KEY (warehouse, item));
CREATE TABLE extras.movements (
  warehouse integer,
  item text,
  amount integer NOT NULL,
  FOREIGN KEY (warehouse, item) REFERENCES extras.stock MATCH FULL ON UPDATE CASCADE DEFERRABLE
);
INSERT INTO extras.stock SELECT n % 4, 'item ' || n, n FROM generate_series(1, 40) n;
INSERT INTO extras.movements SELECT n % 4, 'item ' || n, 1 FROM generate_series(1, 40) n, generate_series(1, 3);
INSERT INTO extras.movements VALUES (NULL, NULL, 7);

-- A partitioned table with a foreign key, and an index on every partition.
CREATE TABLE extras.visits (
  id bigserial,
  day date NOT NULL,
  beneficiary_id uuid NOT NULL REFERENCES beneficiaries ON DELETE CASCADE,
  note text,
  PRIMARY KEY (id, day)
) PARTITION BY RANGE (day);
CREATE TABLE extras.visits_2025 PARTITION OF extras.visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE extras.visits_2026 PARTITION OF extras.visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE extras.visits_other PARTITION OF extras.visits DEFAULT;
CREATE INDEX visits_day ON extras.visits (day);
INSERT INTO extras.visits (day, beneficiary_id, note)
SELECT date '2025-06-01' + n, b.id, 'visita ' || n
FROM generate_series(1, 400) n
JOIN (SELECT id, row_number() OVER (ORDER BY code) AS k FROM beneficiaries) b ON b.k = 1 + n % 205 ORDER BY n;

-- Inheritance.
CREATE TABLE extras.notes (id serial PRIMARY KEY, body text NOT NULL);
CREATE TABLE extras.urgent_notes (until date) INHERITS (extras.notes);
INSERT INTO extras.notes (body) SELECT 'nota ' || n FROM generate_series(1, 10) n ORDER BY n;
INSERT INTO extras.urgent_notes (body, until) VALUES ('urgente', '2026-12-01');

-- Row-level security.
CREATE TABLE extras.private_notes (id serial PRIMARY KEY, owner text NOT NULL, body text NOT NULL);
ALTER TABLE extras.private_notes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON extras.private_notes FOR SELECT TO leitura USING (owner = CURRENT_USER);
CREATE POLICY everything ON extras.private_notes TO CURRENT_USER USING (true);
INSERT INTO extras.private_notes (owner, body) SELECT 'leitura', 'reservada ' || n FROM generate_series(1, 15) n ORDER BY n;

-- Triggers.
CREATE FUNCTION extras.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'this table only grows';
END $$;
CREATE TABLE extras.protocol (id bigserial PRIMARY KEY, what text NOT NULL, at timestamptz NOT NULL);
INSERT INTO extras.protocol (what, at)
SELECT 'fato ' || n, timestamptz '2026-11-01 00:00Z' + make_interval(hours => n) FROM generate_series(1, 25) n ORDER BY n;
CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE ON extras.protocol
FOR EACH ROW EXECUTE FUNCTION extras.refuse();
CREATE TRIGGER never_empty BEFORE TRUNCATE ON extras.protocol EXECUTE FUNCTION extras.refuse();

-- Types that the server cannot hash, and values that it stores out of line.
CREATE TABLE extras.odd (
  id integer PRIMARY KEY,
  document json,
  spot point,
  flags bit(8),
  span int4range,
  spans int4multirange,
  address inet,
  tags text[],
  found tsvector,
  amount double precision,
  lasted interval,
  content bytea
);
ALTER TABLE extras.odd ALTER COLUMN content SET STORAGE EXTERNAL;
INSERT INTO extras.odd
SELECT n, ('{"n": ' || n || ',  "b": true}')::json, point(n, n + 0.5), (n % 256)::bit(8), int4range(n, n + 5),
  int4multirange(int4range(n, n + 2), int4range(n + 7, n + 9)), ('10.0.0.' || n)::inet, ARRAY['a' || n, NULL],
  to_tsvector('simple', 'palavra ' || n), n / 7.0::double precision, make_interval(days => n, secs => n),
  decode(repeat(md5(n::text), 400), 'hex')
FROM generate_series(1, 30) n;
INSERT INTO extras.odd (id, amount) VALUES (100, 'NaN'), (101, '-Infinity');

-- Sequences without an owning column: ascending, descending, and one that begins again.
CREATE SEQUENCE extras.numbers INCREMENT 10 MINVALUE 10 MAXVALUE 100000 START 10;
CREATE SEQUENCE extras.debts AS integer INCREMENT -1 MAXVALUE -1 START -1;
CREATE SEQUENCE extras.turns MAXVALUE 12 CYCLE;
CREATE TABLE extras.invoices (
  number bigint PRIMARY KEY DEFAULT nextval('extras.numbers'),
  debt integer NOT NULL DEFAULT nextval('extras.debts'),
  turn integer NOT NULL DEFAULT nextval('extras.turns')
);
INSERT INTO extras.invoices SELECT FROM generate_series(1, 20);

-- A table that a crash empties, and views.
CREATE UNLOGGED TABLE extras.cache (key text PRIMARY KEY, value text);
INSERT INTO extras.cache SELECT 'k' || n, md5(n::text) FROM generate_series(1, 5) n;

CREATE MATERIALIZED VIEW extras.visits_by_month AS
  SELECT date_trunc('month', day)::date AS month, count(*) AS total FROM extras.visits GROUP BY 1;
CREATE UNIQUE INDEX visits_by_month_month ON extras.visits_by_month (month);

CREATE VIEW extras.open_cases WITH (security_barrier) AS SELECT id, title FROM extras.cases WHERE closed IS NULL;
CREATE RULE ignored AS ON DELETE TO extras.open_cases DO INSTEAD NOTHING;

CREATE PROCEDURE extras.close_case(case_id bigint) LANGUAGE sql AS $$
  UPDATE extras.cases SET closed = CURRENT_DATE, situation = 'encerrada' WHERE id = case_id
$$;
CREATE AGGREGATE extras.last_text(text) (SFUNC = textcat, STYPE = text);
