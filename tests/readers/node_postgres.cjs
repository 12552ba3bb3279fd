// Reader that passes the URL to node-postgres, the application's driver, as `connectionString`.
// The protocol is that of reading.py. NODE_PATH is the folder with the packages.
'use strict'

const fs = require('node:fs')
const readline = require('node:readline')
const { Client } = require('pg')

const SQL = 'SELECT session_user::text, current_user::text'

async function login(config) {
  const client = new Client({ connectionTimeoutMillis: 20_000, ...config })
  // Emitted when the server closes the connection; without a listener it would terminate the process.
  client.on('error', () => {})
  await client.connect()
  try {
    if (!client.connection.stream.authorized) throw new Error('the server was not verified')
    return (await client.query(SQL)).rows[0]
  } finally {
    await client.end()
  }
}

async function logins({ secret, rootcert }) {
  if (/^postgres(ql)?:/.test(secret)) return [await login({ connectionString: secret })]
  const fields = JSON.parse(secret)
  const found = []
  if (fields.host !== undefined) {
    const { username: user, password, host, port, dbname: database } = fields
    const ssl = { ca: fs.readFileSync(rootcert, 'utf8') }
    found.push(await login({ user, password, host, port, database, ssl }))
  }
  if (fields.DATABASE_URL !== undefined) found.push(await login({ connectionString: fields.DATABASE_URL }))
  return found
}

async function serve() {
  for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    let answer
    try {
      answer = { logins: await logins(JSON.parse(line)) }
    } catch (error) {
      // Leave out the error's other properties, which may contain an invalid URL.
      answer = { error: `${error.name} ${error.code}: ${error.message}` }
    }
    console.log(JSON.stringify(answer))
  }
}

serve()
