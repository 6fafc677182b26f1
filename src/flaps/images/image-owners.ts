import { IMAGES_REGISTRY } from '#flyd'
import type { App } from '../directory.ts'
import type { Services } from '../services.ts'
import { type ImageOwner, imagesToGo } from './choose-images.ts'
import type { ChooseImages, KeptImage } from './image-depot.ts'

type Around = Pick<Services, 'directory' | 'rows' | 'clock'>

/** Looked at for the release that counts. */
const RELEASES = 25
const ASK_MS_MAX = 30_000

/** What keeps an image: machines, whatever their state, and releases that machines would be made of. */
export async function imageUsers(
  { directory, rows }: Omit<Around, 'clock'>,
  app: App,
  signal: AbortSignal,
): Promise<(image: Pick<KeptImage, 'digest'>) => string | undefined> {
  const releases = await directory.releases.list(app, { limit: RELEASES, signal })
  const current = releases.find(({ status }) => status === 'complete')
  const counting = releases.filter(
    (one) => one === current || one.status === 'running' || one.status === 'pending',
  )
  const users = [
    ...rows.machines({ appId: app.id }).map(({ id, json }) => ({
      who: `machine ${id}`,
      image: `${json.config?.image ?? ''} ${digestHere(json.image_ref)}`,
    })),
    ...counting.map(({ version, image }) => ({ who: `release v${version}`, image })),
  ]
  return ({ digest }) => users.find(({ image }) => image.includes(digest))?.who
}

/** The one that a machine runs, as it came from here. */
const digestHere = ({ registry, digest }: Readonly<Record<string, unknown>>): string =>
  registry === IMAGES_REGISTRY ? String(digest ?? '') : ''

/** Without rows of any host nothing is known of machines: then only images of apps that are gone go. */
export function chooseImages(around: Around): ChooseImages {
  const { directory, rows, clock } = around
  return async (images, bytesWanted) => {
    const signal = AbortSignal.timeout(ASK_MS_MAX)
    const owners = new Map<string, ImageOwner>()
    for (const name of new Set(images.map(({ app }) => app))) {
      const app = await directory.app(name, signal)
      if (app === undefined) continue
      const userOf = await imageUsers(around, app, signal)
      const { createdAtMs } = app
      owners.set(name, { createdAtMs, uses: (image) => userOf(image) !== undefined })
    }
    return imagesToGo(images, {
      nowMs: clock.nowMs(),
      ownerOf: (name) => owners.get(name),
      bytesWanted: rows.hosts().length === 0 ? 0 : bytesWanted,
    })
  }
}
