import {
  type ASTVisitor,
  type DocumentNode,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type SelectionSetNode,
  type ValidationContext,
} from 'graphql'

/** Tokens of a document; those of flyctl have up to 200. */
export const DOCUMENT_TOKENS_MAX = 2_000
/** Fields below each other; those of flyctl have up to 7. */
export const DEPTH_MAX = 12
/** Fields, with fragments written out. */
export const FIELDS_MAX = 500
/** Fields of the roots, aliases counted each: each of them is a call. */
export const ROOT_FIELDS_MAX = 20

interface Size {
  readonly depth: number
  readonly fields: number
}

const NOTHING: Size = { depth: 0, fields: 0 }

/**
 * Refuses documents whose answers would be too deep or too wide, whatever fragments and aliases they hide that
 * behind. Each fragment is measured once, so that this itself takes no more time than the document has tokens.
 */
export function boundedSelections(context: ValidationContext): ASTVisitor {
  return {
    OperationDefinition: {
      leave(node) {
        const measure = measurer(context.getDocument())
        const { depth, fields } = measure(node.selectionSet)
        const roots = rootFields(node.selectionSet, context.getDocument())
        const found =
          depth > DEPTH_MAX
            ? `it is ${depth} fields deep; at most ${DEPTH_MAX} are answered`
            : fields > FIELDS_MAX
              ? `it has ${fields} fields; at most ${FIELDS_MAX} are answered`
              : roots > ROOT_FIELDS_MAX
                ? `it asks for ${roots} things at once; at most ${ROOT_FIELDS_MAX} are answered`
                : undefined
        if (found !== undefined) {
          context.reportError(new GraphQLError(`The query is too large: ${found}`, { nodes: node }))
        }
      },
    },
  }
}

function measurer(document: DocumentNode): (set: SelectionSetNode) => Size {
  const fragments = fragmentsOf(document)
  const known = new Map<string, Size>()
  const measure = (set: SelectionSetNode): Size =>
    set.selections.reduce<Size>((sum, selection) => {
      const one = sizeOf(selection)
      return { depth: Math.max(sum.depth, one.depth), fields: sum.fields + one.fields }
    }, NOTHING)
  const sizeOf = (selection: SelectionSetNode['selections'][number]): Size => {
    if (selection.kind === Kind.INLINE_FRAGMENT) return measure(selection.selectionSet)
    if (selection.kind === Kind.FRAGMENT_SPREAD) return sizeOfFragment(selection.name.value)
    const below = selection.selectionSet === undefined ? NOTHING : measure(selection.selectionSet)
    return { depth: below.depth + 1, fields: below.fields + 1 }
  }
  const sizeOfFragment = (name: string): Size => {
    const size = known.get(name)
    if (size !== undefined) return size
    known.set(name, NOTHING) // one that spreads itself is refused by another rule
    const fragment = fragments.get(name)
    const measured = fragment === undefined ? NOTHING : measure(fragment.selectionSet)
    known.set(name, measured)
    return measured
  }
  return measure
}

function rootFields(root: SelectionSetNode, document: DocumentNode): number {
  const fragments = fragmentsOf(document)
  const seen = new Set<string>()
  const count = (set: SelectionSetNode): number =>
    set.selections.reduce((sum, selection) => {
      if (selection.kind === Kind.FIELD) return sum + 1
      if (selection.kind === Kind.INLINE_FRAGMENT) return sum + count(selection.selectionSet)
      const fragment = fragments.get(selection.name.value)
      if (fragment === undefined || seen.has(selection.name.value)) return sum
      seen.add(selection.name.value)
      return sum + count(fragment.selectionSet)
    }, 0)
  return count(root)
}

const fragmentsOf = ({ definitions }: DocumentNode): ReadonlyMap<string, FragmentDefinitionNode> =>
  new Map(
    definitions.flatMap((one) =>
      one.kind === Kind.FRAGMENT_DEFINITION ? [[one.name.value, one] as const] : [],
    ),
  )
