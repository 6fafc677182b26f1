import assert from 'node:assert/strict'
import test from 'node:test'
import { errorOfAnswer } from './errors.ts'

const refused = (status: number, path: string, text: string, label?: string) =>
  errorOfAnswer({ status, method: 'GET', path, text, label, requestId: undefined }).fix ?? ''

test('what the server refuses comes with what to do next', () => {
  const machine = '/v1/apps/web/machines/148ed599c14189'
  assert.match(refused(404, '/v1/apps/nope', 'Could not find App "nope"'), /apps list/)
  assert.match(refused(404, machine, 'not_found: machine not found'), /machine list -a web/)
  assert.match(refused(404, '/v1/apps/web/volumes/vol_1', 'not_found: x'), /volumes list -a web/)
  assert.match(
    refused(409, `${machine}/start`, 'aborted: machine ID x lease currently held by me'),
    /leases view 148ed599c14189 -a web/,
  )
  assert.match(refused(412, `${machine}/start`, 'failed_precondition: x'), /machine status/)
  assert.match(refused(408, `${machine}/wait?state=started`, 'deadline_exceeded'), /logs -a web/)
  assert.match(
    refused(422, '/v1/apps/web/machines', 'no host', 'insufficient_capacity'),
    /platform regions/,
  )
  assert.match(refused(403, '/v1/apps/web', 'unauthorized'), /token/)
  assert.equal(refused(400, machine, 'invalid_argument: x'), '')
})
