/** `bin/node test/hear-logs.ts SERVER USER PASSWORD SUBJECT`: the log stream as NATS' own client hears it, until it is killed. */
import { connect } from '@nats-io/transport-node'

const [servers = '', user = '', pass = '', subject = ''] = process.argv.slice(2)
const connection = await connect({ servers, user, pass, reconnect: false, timeout: 10_000 })
connection.subscribe(subject, {
  callback: (error, message) => {
    process.stdout.write(error === null ? `${message.string()}\n` : `refused: ${error.message}\n`)
  },
})
await connection.flush()
process.stdout.write('listening\n')
