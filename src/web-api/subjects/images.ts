import { type App, refuse } from '#flaps'
import type { Subject } from '../graphql/subject.ts'
import type { WebCall } from '../web-call.ts'
import { machinesOf } from './apps.ts'

export const images: Subject = {
  sdl: `
    extend type App { image(ref: String!): Image imageDetails: ImageVersion }
    extend type Query {
      latestImageTag(repository: String!, snapshotId: ID): String!
      latestImageDetails(image: String!, flyVersion: String): ImageVersion
    }
    type Image {
      id: ID! digest: String! ref: String! compressedSizeFull: BigInt! manifest: JSON!
      compressedSize: Int @deprecated(reason: "images can be larger: compressedSizeFull")
    }
    type ImageVersion {
      registry: String repository: String tag: String version: String digest: String
    }
  `,
  resolvers: {
    App: {
      /** Null: nobody has it, or nobody shows it without credentials. */
      async image({ name }: App, { ref }: { ref: string }, call: WebCall) {
        const found = await call.once(`image ${name} ${ref}`, () => {
          call.spendRate('App_image', name) // it makes us ask somebody else
          return call.options.images.find(name, ref, call.signal)
        })
        if (found === undefined) return null
        const { digest, bytes } = found
        return { ...found, id: digest, compressedSizeFull: bytes, manifest: { annotations: {} } }
      },
      imageDetails: (app: App, _args: unknown, call: WebCall) => {
        const [first] = machinesOf(app, call)
        if (first === undefined) return null
        const { registry, repository, tag, digest } = first.json.image_ref
        return { registry, repository, tag, digest, version: null }
      },
    },
    Query: {
      latestImageTag: unknownRepository,
      latestImageDetails: unknownRepository,
    },
  },
}

/** Of images that the platform itself offers newer versions of; this one offers none. */
function unknownRepository(): never {
  throw refuse('flaps.not_found', 'Unknown repository')
}
