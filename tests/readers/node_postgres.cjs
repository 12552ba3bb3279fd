// The reader that gives a URL to node-postgres, the application's own driver, as its `connectionString`.
// Requests and answers are those of reading.py. NODE_PATH names the folder with the packages.
'use strict'

const fs = require('node:fs')
const readline = require('node:readline')
const { Client } = require('pg')

const SQL = 'SELECT session_user::text, current_user::text'

async function login(config) {
  const client = new Client({ connectionTimeoutMillis: 20_000, ...config })
  // A connection that the server ends also emits this; without a listener it would end the program.
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
      // An invalid URL stands in the error's other properties, not in its message.
      answer = { error: `${error.name} ${error.code}: ${error.message}` }
    }
    console.log(JSON.stringify(answer))
  }
}

serve()
