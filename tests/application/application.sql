-- The application's database in its real shapes, for tests of restores: 43 tables, 6 views and 6 functions, with the
-- same rows at every run. Written from what the application does, not copied from it.
--
-- Runs as the owner of the database. Names and digests depend on the row's number only; times on `moveongs.today`, if
-- a session sets it.

CREATE EXTENSION IF NOT EXISTS pgcrypto;

-- People and their rights.

CREATE TABLE users (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  email text NOT NULL UNIQUE,
  name text NOT NULL,
  password_hash text NOT NULL,
  is_active boolean NOT NULL DEFAULT true,
  last_login_at timestamptz,
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);

CREATE TABLE roles (
  id serial PRIMARY KEY,
  name text NOT NULL UNIQUE,
  description text,
  created_at timestamptz DEFAULT now()
);

CREATE TABLE resources (
  id serial PRIMARY KEY,
  name text NOT NULL UNIQUE,
  description text
);

CREATE TABLE permissions (
  id serial PRIMARY KEY,
  resource_id integer NOT NULL REFERENCES resources ON DELETE CASCADE,
  action text NOT NULL,
  scope text NOT NULL DEFAULT 'any',
  UNIQUE (resource_id, action, scope)
);

CREATE TABLE role_permissions (
  role_id integer NOT NULL REFERENCES roles ON DELETE CASCADE,
  permission_id integer NOT NULL REFERENCES permissions ON DELETE CASCADE,
  PRIMARY KEY (role_id, permission_id)
);

CREATE TABLE projects (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL,
  slug text NOT NULL UNIQUE,
  description text,
  focus text,
  active boolean NOT NULL DEFAULT true,
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);

CREATE TABLE user_roles (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  role_id integer NOT NULL REFERENCES roles ON DELETE RESTRICT,
  project_id uuid REFERENCES projects ON DELETE CASCADE,
  created_at timestamptz DEFAULT now()
);
CREATE UNIQUE INDEX uq_user_roles_global ON user_roles (user_id, role_id) WHERE project_id IS NULL;
CREATE UNIQUE INDEX uq_user_roles_project ON user_roles (user_id, role_id, project_id) WHERE project_id IS NOT NULL;

CREATE TABLE user_profiles (
  user_id uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
  display_name text,
  bio text,
  avatar_url text,
  phone text,
  preferences jsonb NOT NULL DEFAULT '{}',
  updated_at timestamptz DEFAULT now()
);

CREATE TABLE user_follows (
  follower_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  followed_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  created_at timestamptz DEFAULT now(),
  PRIMARY KEY (follower_id, followed_id),
  CHECK (follower_id <> followed_id)
);

CREATE TABLE user_activities (
  id bigserial PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  kind text NOT NULL,
  payload jsonb,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_user_activities_user ON user_activities (user_id, created_at DESC);

-- Sign-in.

CREATE TABLE auth_refresh_tokens (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  token_hash text NOT NULL UNIQUE,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE password_reset_tokens (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  token_hash text NOT NULL UNIQUE,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);

CREATE TABLE mfa_methods (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('totp', 'webauthn')),
  label text,
  enabled boolean NOT NULL DEFAULT false,
  created_at timestamptz DEFAULT now()
);

CREATE TABLE mfa_totp_secrets (
  method_id uuid PRIMARY KEY REFERENCES mfa_methods ON DELETE CASCADE,
  secret_ciphertext bytea NOT NULL,
  confirmed_at timestamptz
);

CREATE TABLE mfa_webauthn_credentials (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  method_id uuid NOT NULL REFERENCES mfa_methods ON DELETE CASCADE,
  credential_id bytea NOT NULL UNIQUE,
  public_key bytea NOT NULL,
  sign_count bigint NOT NULL DEFAULT 0
);

CREATE TABLE mfa_challenges (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  challenge text NOT NULL,
  expires_at timestamptz NOT NULL,
  consumed_at timestamptz
);

-- Beneficiaries.

CREATE TABLE beneficiaries (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  code text UNIQUE,
  full_name text NOT NULL,
  birth_date date,
  cpf text,
  rg text,
  phone text,
  email text,
  address text,
  neighborhood text,
  city text,
  state char(2),
  family_income numeric(12, 2),
  notes text,
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);
CREATE INDEX idx_beneficiaries_name ON beneficiaries (lower(full_name));
CREATE INDEX idx_beneficiaries_neighborhood ON beneficiaries (neighborhood);

CREATE TABLE household_members (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  beneficiary_id uuid REFERENCES beneficiaries ON DELETE CASCADE,
  name text,
  birth_date date,
  relationship text,
  works boolean,
  income numeric(12, 2),
  created_at timestamptz DEFAULT now()
);

CREATE TABLE vulnerabilities (
  id serial PRIMARY KEY,
  slug text NOT NULL UNIQUE,
  label text NOT NULL
);

CREATE TABLE beneficiary_vulnerabilities (
  beneficiary_id uuid NOT NULL REFERENCES beneficiaries ON DELETE CASCADE,
  vulnerability_id integer NOT NULL REFERENCES vulnerabilities ON DELETE RESTRICT,
  noted_at timestamptz DEFAULT now(),
  PRIMARY KEY (beneficiary_id, vulnerability_id)
);

CREATE TABLE consents (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  beneficiary_id uuid REFERENCES beneficiaries ON DELETE CASCADE,
  type text NOT NULL,
  text_version text NOT NULL,
  granted boolean NOT NULL,
  granted_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz DEFAULT now()
);
CREATE UNIQUE INDEX uq_consents_in_force ON consents (beneficiary_id, type) WHERE revoked_at IS NULL;

CREATE TABLE consent_review_schedules (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  consent_id uuid NOT NULL REFERENCES consents ON DELETE CASCADE,
  due_on date NOT NULL,
  done_at timestamptz
);

CREATE TABLE dsr_requests (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  beneficiary_id uuid REFERENCES beneficiaries ON DELETE SET NULL,
  kind text NOT NULL CHECK (kind IN ('access', 'correction', 'deletion')),
  status text NOT NULL DEFAULT 'open',
  due_on date,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- Projects.

CREATE TABLE cohorts (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  project_id uuid REFERENCES projects ON DELETE CASCADE,
  code text NOT NULL,
  weekday smallint CHECK (weekday BETWEEN 0 AND 6),
  starts_at time,
  capacity integer CHECK (capacity > 0),
  location text,
  created_at timestamptz DEFAULT now(),
  UNIQUE (project_id, code)
);

CREATE TABLE cohort_educators (
  cohort_id uuid NOT NULL REFERENCES cohorts ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  PRIMARY KEY (cohort_id, user_id)
);

CREATE TABLE enrollments (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  beneficiary_id uuid REFERENCES beneficiaries ON DELETE CASCADE,
  cohort_id uuid REFERENCES cohorts ON DELETE RESTRICT,
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'ended')),
  enrolled_at date NOT NULL DEFAULT CURRENT_DATE,
  terminated_at date,
  reason text,
  agreement_acceptance jsonb,
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);
CREATE UNIQUE INDEX uq_enrollments_active ON enrollments (beneficiary_id, cohort_id) WHERE status = 'active';
CREATE INDEX idx_enrollments_cohort ON enrollments (cohort_id);

CREATE TABLE attendance (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  enrollment_id uuid NOT NULL REFERENCES enrollments ON DELETE CASCADE,
  date date NOT NULL,
  present boolean NOT NULL,
  justification text,
  recorded_by uuid REFERENCES users ON DELETE SET NULL,
  created_at timestamptz DEFAULT now(),
  UNIQUE (enrollment_id, date)
);
CREATE INDEX idx_attendance_date ON attendance (date);

CREATE TABLE evolutions (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  beneficiary_id uuid REFERENCES beneficiaries ON DELETE CASCADE,
  author_id uuid REFERENCES users ON DELETE SET NULL,
  date date NOT NULL,
  title text,
  description text NOT NULL,
  category text,
  created_at timestamptz DEFAULT now()
);

CREATE TABLE action_plans (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  beneficiary_id uuid REFERENCES beneficiaries ON DELETE CASCADE,
  created_by uuid REFERENCES users ON DELETE SET NULL,
  status text NOT NULL DEFAULT 'active',
  created_at timestamptz DEFAULT now()
);

CREATE TABLE action_items (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  action_plan_id uuid NOT NULL REFERENCES action_plans ON DELETE CASCADE,
  title text NOT NULL,
  responsible text,
  due_date date,
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'in_progress', 'done')),
  support text[] NOT NULL DEFAULT '{}'
);

CREATE TABLE certificates (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  enrollment_id uuid NOT NULL REFERENCES enrollments ON DELETE CASCADE,
  file_path text NOT NULL,
  issued_by uuid REFERENCES users ON DELETE SET NULL,
  issued_at timestamptz NOT NULL DEFAULT now()
);

-- Forms.

CREATE TABLE form_templates (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  form_type text NOT NULL,
  schema_version text NOT NULL,
  schema jsonb NOT NULL,
  status text NOT NULL DEFAULT 'active',
  created_at timestamptz DEFAULT now(),
  UNIQUE (form_type, schema_version)
);

CREATE TABLE form_template_revisions (
  id bigserial PRIMARY KEY,
  template_id uuid NOT NULL REFERENCES form_templates ON DELETE CASCADE,
  revision integer NOT NULL,
  schema jsonb NOT NULL,
  UNIQUE (template_id, revision)
);

CREATE TABLE form_submissions (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  beneficiary_id uuid REFERENCES beneficiaries ON DELETE CASCADE,
  form_type text NOT NULL,
  schema_version text NOT NULL,
  payload jsonb NOT NULL,
  signed_by text[] NOT NULL DEFAULT '{}',
  created_by uuid REFERENCES users ON DELETE SET NULL,
  created_at timestamptz DEFAULT now(),
  FOREIGN KEY (form_type, schema_version) REFERENCES form_templates (form_type, schema_version)
);
CREATE INDEX idx_form_submissions_beneficiary ON form_submissions (beneficiary_id, created_at);

-- Messages between users.

CREATE TABLE posts (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  author_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  project_id uuid REFERENCES projects ON DELETE SET NULL,
  body text NOT NULL,
  tags text[] NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE post_reactions (
  post_id uuid NOT NULL REFERENCES posts ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  reaction text NOT NULL,
  PRIMARY KEY (post_id, user_id, reaction)
);

CREATE TABLE comments (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  post_id uuid NOT NULL REFERENCES posts ON DELETE CASCADE,
  parent_id uuid REFERENCES comments ON DELETE CASCADE,
  author_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  body text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE threads (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  subject text,
  created_by uuid REFERENCES users ON DELETE SET NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE thread_members (
  thread_id uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  last_read_at timestamptz,
  PRIMARY KEY (thread_id, user_id)
);

CREATE TABLE messages (
  id bigserial PRIMARY KEY,
  thread_id uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
  author_id uuid REFERENCES users ON DELETE SET NULL,
  body text NOT NULL,
  sent_at timestamptz NOT NULL DEFAULT now()
);

-- Files. The owner may be a row of any table, so no foreign key holds it.

CREATE TABLE attachments (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  owner_type text NOT NULL,
  owner_id uuid NOT NULL,
  file_path text NOT NULL,
  file_name text,
  mime_type text,
  size_bytes bigint,
  checksum text,
  uploaded_by uuid REFERENCES users ON DELETE SET NULL,
  scan_status text NOT NULL DEFAULT 'pending',
  scan_signature text,
  scan_engine text,
  scanned_at timestamptz,
  scan_error text,
  created_at timestamptz DEFAULT now()
);
CREATE INDEX idx_attachments_owner ON attachments (owner_type, owner_id);

-- The audit log, whose digests the application's first start creates.

CREATE TABLE audit_logs (
  id bigserial PRIMARY KEY,
  user_id uuid,
  entity text,
  entity_id text,
  action text,
  before_data jsonb,
  after_data jsonb,
  justification text,
  created_at timestamptz DEFAULT now()
);
CREATE INDEX idx_audit_logs_entity ON audit_logs (entity, entity_id);

CREATE TABLE audit_log_digests (
  log_id bigint PRIMARY KEY REFERENCES audit_logs ON DELETE CASCADE,
  digest text NOT NULL,
  previous_digest text,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- Reports.

CREATE VIEW view_enrollments_active AS
  SELECT e.id, e.beneficiary_id, b.full_name, e.cohort_id, c.project_id, e.enrolled_at
  FROM enrollments e JOIN beneficiaries b ON b.id = e.beneficiary_id JOIN cohorts c ON c.id = e.cohort_id
  WHERE e.status = 'active';

CREATE VIEW view_project_capacity_utilization AS
  SELECT p.id AS project_id, p.name, sum(c.capacity) AS capacity, count(e.id) AS enrolled
  FROM projects p LEFT JOIN cohorts c ON c.project_id = p.id
  LEFT JOIN view_enrollments_active e ON e.cohort_id = c.id
  GROUP BY p.id;

CREATE VIEW view_vulnerabilities_counts AS
  SELECT v.slug, count(b.beneficiary_id) AS total
  FROM vulnerabilities v LEFT JOIN beneficiary_vulnerabilities b ON b.vulnerability_id = v.id
  GROUP BY v.slug;

CREATE VIEW view_neighborhood_counts AS
  SELECT coalesce(neighborhood, 'unknown') AS neighborhood, count(*) AS total
  FROM beneficiaries GROUP BY 1;

CREATE VIEW view_consents_status AS
  SELECT type, count(*) FILTER (WHERE granted AND revoked_at IS NULL) AS in_force,
    count(*) FILTER (WHERE revoked_at IS NOT NULL) AS revoked
  FROM consents GROUP BY type;

CREATE VIEW view_action_items_status_counts AS
  SELECT status, count(*) AS total, count(*) FILTER (WHERE due_date < CURRENT_DATE) AS overdue
  FROM action_items GROUP BY status;

CREATE FUNCTION imm_age_distribution(at date) RETURNS TABLE (band text, total bigint) LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN age(at, birth_date) < interval '18 years' THEN '0-17'
    WHEN age(at, birth_date) < interval '60 years' THEN '18-59' ELSE '60+' END, count(*)
  FROM beneficiaries WHERE birth_date IS NOT NULL GROUP BY 1
$$;

CREATE FUNCTION imm_attendance_rate_by_enrollment(enrollment uuid, first_day date, last_day date)
RETURNS numeric LANGUAGE sql STABLE AS $$
  SELECT round(100.0 * count(*) FILTER (WHERE present) / nullif(count(*), 0), 2)
  FROM attendance WHERE enrollment_id = enrollment AND date BETWEEN first_day AND last_day
$$;

CREATE FUNCTION imm_attendance_rate_by_cohort(cohort uuid, first_day date, last_day date)
RETURNS TABLE (enrollment_id uuid, rate numeric) LANGUAGE sql STABLE AS $$
  SELECT e.id, imm_attendance_rate_by_enrollment(e.id, first_day, last_day)
  FROM enrollments e WHERE e.cohort_id = cohort
$$;

CREATE FUNCTION imm_series_attendance(first_day date, last_day date)
RETURNS TABLE (day date, present bigint, total bigint) LANGUAGE sql STABLE AS $$
  SELECT date, count(*) FILTER (WHERE present), count(*)
  FROM attendance WHERE date BETWEEN first_day AND last_day GROUP BY date ORDER BY date
$$;

CREATE FUNCTION imm_series_new_beneficiaries(first_day date, last_day date)
RETURNS TABLE (day date, total bigint) LANGUAGE sql STABLE AS $$
  SELECT created_at::date, count(*)
  FROM beneficiaries WHERE created_at::date BETWEEN first_day AND last_day GROUP BY 1 ORDER BY 1
$$;

CREATE FUNCTION imm_series_new_enrollments(first_day date, last_day date)
RETURNS TABLE (day date, total bigint) LANGUAGE sql STABLE AS $$
  SELECT enrolled_at, count(*)
  FROM enrollments WHERE enrolled_at BETWEEN first_day AND last_day GROUP BY 1 ORDER BY 1
$$;

-- Rows. `seed_id` and `seed_time` give the same values at every run.

CREATE FUNCTION seed_id(kind text, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT md5(kind || ' ' || number)::uuid
$$;

CREATE FUNCTION seed_time(hours_ago bigint) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('moveongs.today', true), ''), '2026-11-20T12:00:00Z')::timestamptz
    - make_interval(hours => hours_ago::integer)
$$;

INSERT INTO users (id, email, name, password_hash, last_login_at, created_at, updated_at)
SELECT seed_id('user', n), 'pessoa' || n || '@ong.example', 'Pessoa ' || n, 'scrypt:' || md5('password ' || n),
  seed_time(n), seed_time(5000), seed_time(100 + n)
FROM generate_series(1, 12) n;

INSERT INTO roles (name, created_at)
SELECT name, seed_time(9000) FROM unnest(ARRAY['admin', 'coordenacao', 'tecnica', 'educadora', 'recepcao',
  'voluntaria', 'financeiro', 'leitura_externa', 'beneficiaria']) WITH ORDINALITY AS r (name, n) ORDER BY n;

INSERT INTO resources (name) SELECT 'recurso_' || n FROM generate_series(1, 16) n ORDER BY n;

INSERT INTO permissions (resource_id, action)
SELECT 1 + n % 16, (ARRAY['read', 'create', 'update', 'delete'])[1 + n / 16] FROM generate_series(0, 49) n ORDER BY n;

INSERT INTO role_permissions SELECT r.id, p.id FROM roles r, permissions p WHERE (r.id + p.id) % 3 = 0;

INSERT INTO projects (id, name, slug, created_at, updated_at)
SELECT seed_id('project', n), 'Projeto ' || n, 'projeto-' || n, seed_time(8000), seed_time(700)
FROM generate_series(1, 3) n;

INSERT INTO user_roles (id, user_id, role_id, project_id, created_at)
SELECT seed_id('user role', n), seed_id('user', n), 1 + n % 9, CASE WHEN n > 6 THEN seed_id('project', 1 + n % 3) END,
  seed_time(4000)
FROM generate_series(1, 12) n;

INSERT INTO user_profiles (user_id, display_name, preferences, updated_at)
SELECT seed_id('user', n), 'P' || n, jsonb_build_object('idioma', 'pt-BR', 'avisos', n % 2 = 0), seed_time(300)
FROM generate_series(1, 12) n;

INSERT INTO user_follows SELECT seed_id('user', n), seed_id('user', 1 + n % 12), seed_time(n)
FROM generate_series(1, 12) n;

INSERT INTO user_activities (user_id, kind, payload, created_at)
SELECT seed_id('user', 1 + n % 12), 'login', jsonb_build_object('n', n), seed_time(1000 - n)
FROM generate_series(1, 60) n ORDER BY n;

INSERT INTO auth_refresh_tokens (id, user_id, token_hash, expires_at, created_at)
SELECT seed_id('refresh', n), seed_id('user', 1 + n % 12), md5('refresh ' || n), seed_time(n - 700), seed_time(n)
FROM generate_series(1, 20) n;

INSERT INTO password_reset_tokens (id, user_id, token_hash, expires_at)
SELECT seed_id('reset', n), seed_id('user', n), md5('reset ' || n), seed_time(n) FROM generate_series(1, 3) n;

INSERT INTO mfa_methods (id, user_id, kind, label, enabled, created_at)
SELECT seed_id('mfa', n), seed_id('user', n), CASE n % 2 WHEN 0 THEN 'totp' ELSE 'webauthn' END, 'celular', true,
  seed_time(2000)
FROM generate_series(1, 6) n;

INSERT INTO mfa_totp_secrets SELECT seed_id('mfa', n), decode(md5('totp ' || n), 'hex'), seed_time(1999)
FROM generate_series(2, 6, 2) n;

INSERT INTO mfa_webauthn_credentials (id, method_id, credential_id, public_key, sign_count)
SELECT seed_id('webauthn', n), seed_id('mfa', n), decode(md5('credential ' || n), 'hex'),
  decode(md5('key ' || n), 'hex'), n
FROM generate_series(1, 5, 2) n;

INSERT INTO mfa_challenges (id, user_id, challenge, expires_at)
SELECT seed_id('challenge', n), seed_id('user', n), md5('challenge ' || n), seed_time(n) FROM generate_series(1, 4) n;

INSERT INTO beneficiaries (id, code, full_name, birth_date, cpf, phone, neighborhood, city, state, family_income, notes,
  created_at, updated_at)
SELECT seed_id('beneficiary', n), 'B' || to_char(n, 'FM0000'), 'Beneficiária Número ' || to_char(n, 'FM0000'),
  date '1950-01-01' + (n * 131) % 24000, to_char(n * 1234567 % 100000000000, 'FM00000000000'),
  '+55 11 9' || to_char(n * 7919 % 100000000, 'FM00000000'), (ARRAY['Centro', 'Jardim', 'Vila Nova', NULL])[1 + n % 4],
  'São Paulo', 'SP', (n * 37 % 4000)::numeric / 3, CASE WHEN n % 5 = 0 THEN 'observação' END,
  seed_time(6000 - n), seed_time(1 + n)
FROM generate_series(1, 205) n;

INSERT INTO household_members (id, beneficiary_id, name, birth_date, relationship, works, income, created_at)
SELECT seed_id('member', n), seed_id('beneficiary', 1 + n % 205), 'Familiar ' || n, date '1960-05-05' + n * 97,
  (ARRAY['filha', 'filho', 'mãe', 'avó'])[1 + n % 4], n % 3 = 0, n * 10.5, seed_time(500)
FROM generate_series(1, 310) n;

INSERT INTO vulnerabilities (slug, label)
SELECT 'vulnerabilidade_' || n, 'Vulnerabilidade ' || n FROM generate_series(1, 9) n ORDER BY n;

INSERT INTO beneficiary_vulnerabilities
SELECT seed_id('beneficiary', n), 1 + n % 9, seed_time(400) FROM generate_series(1, 150) n;

INSERT INTO consents (id, beneficiary_id, type, text_version, granted, granted_at, created_at)
SELECT seed_id('consent', n), seed_id('beneficiary', n), 'lgpd', 'v1', n % 7 <> 0, seed_time(3000), seed_time(3000)
FROM generate_series(1, 205) n;

INSERT INTO consent_review_schedules (id, consent_id, due_on)
SELECT seed_id('review', n), seed_id('consent', n), date '2027-01-01' + n FROM generate_series(1, 40) n;

INSERT INTO dsr_requests (id, beneficiary_id, kind, created_at)
SELECT seed_id('dsr', n), seed_id('beneficiary', n), (ARRAY['access', 'correction', 'deletion'])[n], seed_time(n * 10)
FROM generate_series(1, 3) n;

INSERT INTO cohorts (id, project_id, code, weekday, starts_at, capacity, created_at)
SELECT seed_id('cohort', n), seed_id('project', 1 + n % 3), 'T' || n, n % 7, make_time(8 + n, 0, 0), 40, seed_time(7000)
FROM generate_series(1, 8) n;

INSERT INTO cohort_educators SELECT seed_id('cohort', n), seed_id('user', n) FROM generate_series(1, 8) n;

INSERT INTO enrollments (id, beneficiary_id, cohort_id, status, enrolled_at, terminated_at, agreement_acceptance,
  created_at, updated_at)
SELECT seed_id('enrollment', n), seed_id('beneficiary', n), seed_id('cohort', 1 + n % 8),
  CASE WHEN n % 10 = 0 THEN 'ended' ELSE 'active' END, date '2026-02-01' + n % 90,
  CASE WHEN n % 10 = 0 THEN date '2026-10-01' END, jsonb_build_object('codigo', 'imagem', 'aceito', true),
  seed_time(5000 - n), seed_time(2 + n)
FROM generate_series(1, 200) n;

INSERT INTO attendance (id, enrollment_id, date, present, justification, recorded_by, created_at)
SELECT seed_id('attendance', n), seed_id('enrollment', 1 + n % 200), date '2026-05-04' + 7 * (n / 200)::integer,
  n % 6 <> 0, CASE WHEN n % 12 = 0 THEN 'consulta médica' END, seed_id('user', 1 + n % 12), seed_time(2100 - n)
FROM generate_series(0, 1999) n;

INSERT INTO evolutions (id, beneficiary_id, author_id, date, title, description, category, created_at)
SELECT seed_id('evolution', n), seed_id('beneficiary', n), seed_id('user', 1 + n % 12), date '2026-08-01' + n,
  'Evolução ' || n, 'Conversa sobre o plano ' || n, 'social', seed_time(900 - n)
FROM generate_series(1, 60) n;

INSERT INTO action_plans (id, beneficiary_id, created_by, created_at)
SELECT seed_id('plan', n), seed_id('beneficiary', n), seed_id('user', 1 + n % 12), seed_time(800)
FROM generate_series(1, 30) n;

INSERT INTO action_items (id, action_plan_id, title, due_date, status, support)
SELECT seed_id('item', n), seed_id('plan', 1 + n % 30), 'Ação ' || n, date '2026-12-01' + n,
  (ARRAY['pending', 'in_progress', 'done'])[1 + n % 3], ARRAY['transporte', 'documentos']
FROM generate_series(1, 90) n;

INSERT INTO certificates (id, enrollment_id, file_path, issued_by, issued_at)
SELECT seed_id('certificate', n), seed_id('enrollment', n * 10), 'certificates/' || n || '.pdf', seed_id('user', 1),
  seed_time(600)
FROM generate_series(1, 15) n;

INSERT INTO form_templates (id, form_type, schema_version, schema, created_at)
SELECT seed_id('template', n), 'formulario_' || n, 'v1',
  jsonb_build_object('fields', jsonb_build_array('nome', 'data', n)), seed_time(7500)
FROM generate_series(1, 8) n;

INSERT INTO form_template_revisions (template_id, revision, schema)
SELECT seed_id('template', n), 1, jsonb_build_object('fields', jsonb_build_array('nome', 'data', n))
FROM generate_series(1, 8) n ORDER BY n;

INSERT INTO form_submissions (id, beneficiary_id, form_type, schema_version, payload, signed_by, created_by, created_at)
SELECT seed_id('submission', n), seed_id('beneficiary', n), 'formulario_' || 1 + n % 8, 'v1',
  jsonb_build_object('nome', 'Beneficiária ' || n, 'respostas', jsonb_build_array(n, n % 3 = 0, NULL)),
  ARRAY['beneficiaria'], seed_id('user', 1 + n % 12), seed_time(1200 - n)
FROM generate_series(1, 120) n;

INSERT INTO posts (id, author_id, project_id, body, tags, created_at)
SELECT seed_id('post', n), seed_id('user', 1 + n % 12), seed_id('project', 1 + n % 3), 'Notícia ' || n,
  ARRAY['aviso'], seed_time(300 - n)
FROM generate_series(1, 20) n;

INSERT INTO post_reactions SELECT seed_id('post', n), seed_id('user', 1 + n % 12), 'curtir' FROM generate_series(1, 20) n;

INSERT INTO comments (id, post_id, parent_id, author_id, body, created_at)
SELECT seed_id('comment', n), seed_id('post', 1 + n % 20), CASE WHEN n > 20 THEN seed_id('comment', n - 20) END,
  seed_id('user', 1 + n % 12), 'Comentário ' || n, seed_time(250 - n)
FROM generate_series(1, 40) n;

INSERT INTO threads (id, subject, created_by, created_at)
SELECT seed_id('thread', n), 'Assunto ' || n, seed_id('user', n), seed_time(200) FROM generate_series(1, 5) n;

INSERT INTO thread_members
SELECT seed_id('thread', t), seed_id('user', u), seed_time(u) FROM generate_series(1, 5) t, generate_series(1, 4) u;

INSERT INTO messages (thread_id, author_id, body, sent_at)
SELECT seed_id('thread', 1 + n % 5), seed_id('user', 1 + n % 4), 'Mensagem ' || n, seed_time(150 - n)
FROM generate_series(1, 50) n ORDER BY n;

INSERT INTO attachments (id, owner_type, owner_id, file_path, file_name, mime_type, size_bytes, checksum, uploaded_by,
  scan_status, created_at)
SELECT seed_id('attachment', n), 'beneficiary', seed_id('beneficiary', n),
  's3://moveongs-dev-attachments/' || seed_id('object', n) || '.pdf', 'documento-' || n || '.pdf', 'application/pdf',
  length('attachment ' || n), encode(sha256(convert_to('attachment ' || n, 'UTF8')), 'hex'), seed_id('user', 1 + n % 12), 'skipped',
  seed_time(80 - n * 8)
FROM generate_series(1, 8) n;

INSERT INTO audit_logs (user_id, entity, entity_id, action, after_data, created_at)
SELECT seed_id('user', 1 + n % 12), 'beneficiary', seed_id('beneficiary', n)::text, 'update',
  jsonb_build_object('full_name', 'Beneficiária Número ' || to_char(n, 'FM0000')), seed_time(20 - n)
FROM generate_series(1, 20) n ORDER BY n;

INSERT INTO audit_log_digests
SELECT id, encode(sha256(convert_to('digest ' || id, 'UTF8')), 'hex'),
  CASE WHEN id > 1 THEN encode(sha256(convert_to('digest ' || id - 1, 'UTF8')), 'hex') END, created_at
FROM audit_logs ORDER BY id;

DROP FUNCTION seed_id(text, bigint);
DROP FUNCTION seed_time(bigint);
