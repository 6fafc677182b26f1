import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { runAgainst } from './api/api-server.fixture.ts'
import { orgsCommand } from './orgs.ts'

const birds = { slug: 'birds', name: 'Birds', internal_numeric_id: 101, operators: false }

const run = (t: TestContext, answers: Readonly<Record<string, unknown>>, ...words: string[]) =>
  runAgainst(t, orgsCommand, words, answers)

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
  let printed = ''
  const make = () =>
    orgsCommand((text) => {
      printed += text
    })
  const error = 'failed_precondition: the organisation has 1 apps'
  const removal = runAgainst(t, make, ['delete', 'birds', '--yes'], {
    'DELETE /v1/orgs/birds': { error },
  })
  await assert.rejects(removal, /has 1 apps/)
  assert.equal(printed, '')
})
