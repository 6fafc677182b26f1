/**
 * Writes transactions to a database for ever, and prints each version once it was acknowledged: for the test that
 * kills it. Arguments: the database, the first number to write.
 */
import { writeSync } from 'node:fs'
import { seededRandom } from '#base'
import { Store } from './store.ts'

const [path = '', from = '1'] = process.argv.slice(2)
const random = seededRandom(Number(from))
let ts = BigInt(from)
const store = new Store({ path, now: () => ts++ })
store.migrate(`CREATE TABLE kept (n INTEGER NOT NULL PRIMARY KEY, v TEXT, w INTEGER);
CREATE TABLE pairs (a TEXT NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b));`)
// Not process.stdout: what it queues when nobody reads would wait for the event loop, which never comes.
writeSync(1, `ready ${store.head}\n`)

for (let n = Number(from); ; n += 1) {
  const { version } = store.transaction(() => {
    store.statement(`INSERT INTO kept VALUES (?, ?, 0)`).run(n, `v${n}`)
    store.statement(`UPDATE kept SET w = ? WHERE n = ?`).run(n, Math.max(1, n - random.int(5)))
    store.statement(`INSERT OR REPLACE INTO pairs VALUES (?, ?)`).run('p', random.int(50))
    if (random.int(3) === 0) store.statement(`DELETE FROM pairs WHERE b = ?`).run(random.int(50))
  })
  writeSync(1, `${n} ${version}\n`)
  if (random.int(7) === 0) store.settle()
  if (random.int(29) === 0) store.compact(200)
}
