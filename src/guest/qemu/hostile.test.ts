import { join } from 'node:path'
import { testIsolation } from '../isolation.ts'

testIsolation({
  name: 'qemu',
  subjectPath: join(import.meta.dirname, 'contract-subject.ts'),
  isVirtual: true,
  leakRounds: 0,
})
