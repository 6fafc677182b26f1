import type { Subject } from '../graphql/subject.ts'
import { addOns } from './add-ons.ts'
import { addresses } from './addresses.ts'
import { apps } from './apps.ts'
import { certificates } from './certificates.ts'
import { egress } from './egress.ts'
import { images } from './images.ts'
import { machines } from './machines.ts'
import { organizations } from './organizations.ts'
import { platform } from './platform.ts'
import { releases } from './releases.ts'
import { secrets } from './secrets.ts'
import { ssh } from './ssh.ts'
import { tokens } from './tokens.ts'
import { viewer } from './viewer.ts'
import { wireguard } from './wireguard.ts'

/** The whole schema, by what it is about. */
export const subjects: readonly Subject[] = [
  viewer,
  organizations,
  apps,
  releases,
  images,
  machines,
  secrets,
  addresses,
  egress,
  certificates,
  tokens,
  wireguard,
  ssh,
  platform,
  addOns,
]
