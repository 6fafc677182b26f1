import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type TestContext } from 'node:test'
import { orgsCommand } from './orgs.ts'

const birds = { slug: 'birds', name: 'Birds', internal_numeric_id: 101, operators: false }

/** Runs the command against an API that answers from a table. */
async function run(t: TestContext, answers: Readonly<Record<string, unknown>>, ...words: string[]) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (piece) => {
      body += piece
    })
    request.on('end', () => {
      const call = `${request.method} ${request.url}`
      asked.push(`${call} ${body}`.trim())
      const answer = answers[call]
      response.writeHead(answer === undefined ? 412 : 200)
      const refusal = { error: 'failed_precondition: the organisation has 1 apps' }
      response.end(JSON.stringify(answer ?? refusal))
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  let printed = ''
  const command = orgsCommand((text) => {
    printed += text
  })
  const where = ['--api', `http://127.0.0.1:${port}`, '--access-token', 'x']
  const failure = await command
    .parseAsync([...words, ...where], { from: 'user' })
    .then(() => undefined, String)
  return { asked, printed, failure }
}

test('organisations are listed, shown, made and removed through the API', async (t) => {
  const list = await run(t, { 'GET /v1/orgs': { organizations: [birds] } }, 'list')
  assert.match(list.printed, /101 +birds +"Birds"/)
  const shown = { organization: birds, app_count: 3 }
  const show = await run(t, { 'GET /v1/orgs/birds': shown }, 'show', 'birds', '--json')
  const json = { id: 101, slug: 'birds', name: 'Birds', operators: false, apps: 3 }
  assert.deepEqual(JSON.parse(show.printed), json)
  const made = { organization: birds, token: 'FlyV1 fm2_x' }
  const create = await run(t, { 'POST /v1/orgs': made }, 'create', 'birds', '--name', 'Birds')
  assert.deepEqual(create.asked, ['POST /v1/orgs {"slug":"birds","name":"Birds"}'])
  assert.match(create.printed, /made birds, id 101; its token, shown once:\nFlyV1 fm2_x\n/)
  const removed = await run(t, { 'DELETE /v1/orgs/birds': {} }, 'delete', 'birds', '--yes')
  assert.deepEqual(
    [removed.asked, removed.printed],
    [['DELETE /v1/orgs/birds'], 'birds is removed\n'],
  )
})

test('one that has apps is not removed, and the command says why', async (t) => {
  const { failure, printed } = await run(t, {}, 'delete', 'birds', '--yes')
  assert.match(failure ?? '', /has 1 apps/)
  assert.equal(printed, '')
})
