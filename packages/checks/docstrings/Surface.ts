/**
 * Every public name of some modules as the compiler sees it: what is exported under whatever name, and what one finds at that: static
 * members, services, the fields of interfaces, errors and options. And which of the names the examples really use.
 *
 * TypeScript calls the API that tells it unstable. Our TypeScript is pinned.
 */
import { basename, join, relative } from "node:path"
import { type Node, SyntaxKind } from "typescript/unstable/ast"
import {
  API,
  type Checker,
  SignatureKind,
  type Symbol,
  SymbolFlags,
  type Type,
  TypeFlags
} from "typescript/unstable/sync"
import { assertion, docstringsIn, type Example, examplesIn, root, type Source } from "../test/Sources.ts"

export interface PublicName {
  /** Of the module that declares it, from the root of the repository. */
  readonly path: string
  /** With the names of its holders, as `KubeLock.acquire`; of a module its own. */
  readonly name: string
  /** A field is one of a schema, or of a type that has no name. */
  readonly kind: "module" | "export" | "class member" | "member" | "field"
  /** Without the asterisks; empty where there is none. */
  readonly docstring: string
  /** What holds it, the nearest first: a class, an interface or a function, then the module. */
  readonly holders: ReadonlyArray<PublicName>
  /** Whether one calls, runs, builds or provides it. */
  readonly isUsed: boolean
  /** The tags of the errors that it can fail with. */
  readonly errors: ReadonlyArray<string>
  /** Whether one gives it to a function, and may leave it out there. */
  readonly given: "always" | "optionally" | undefined
  readonly measure: "number" | "duration" | undefined
}

export interface Surface {
  readonly names: ReadonlyArray<PublicName>
  /** Whether the code uses the name: to import or to mention it is not enough. */
  readonly uses: (example: Example, name: PublicName) => boolean
}

/** The public names of these modules. Their examples may import any package of the workspace. */
export const surfaceOf = (modules: ReadonlyArray<Source>): Surface => {
  const examples = modules.flatMap(({ text }) => docstringsIn(text)).flatMap(examplesIn)
  const folder = join(root, "node_modules/.cache/kubelock-docstrings")
  const exampleFile = (index: number) => join(folder, `example-${index}.ts`)
  const tsconfig = join(folder, "tsconfig.json")
  const moduleFiles = modules.map(({ path }) => join(root, path))
  const files = new Map([
    ...modules.map(({ path, text }) => [join(root, path), text] as const),
    // What it is asserted to be is a part of an example, comment or not.
    ...examples.map(({ code }, index) => [exampleFile(index), code.replaceAll(assertion, "void [$1, $2]")] as const),
    [
      tsconfig,
      JSON.stringify({
        extends: join(root, "tsconfig.base.json"),
        compilerOptions: {
          composite: false,
          noEmit: true,
          types: ["node"],
          typeRoots: [join(root, "node_modules/@types")],
          rootDir: root
        },
        files: [...moduleFiles, ...examples.map((_, index) => exampleFile(index))]
      })
    ] as const
  ])
  const api = new API({
    cwd: root,
    fs: {
      readFile: (file) => files.get(file),
      fileExists: (file) => files.has(file) || undefined,
      directoryExists: (folder) => [...files.keys()].some((file) => file.startsWith(`${folder}/`)) || undefined
    }
  })
  try {
    const project = api.updateSnapshot({ openProjects: [tsconfig] }).getProject(tsconfig)!
    const { checker, program } = project
    // What does not compile has no types to look at, and would be owed nothing.
    const [problem] = moduleFiles.flatMap((file) => program.getSemanticDiagnostics(file))
    if (problem !== undefined) throw new Error(`${problem.fileName}: ${problem.text}`)
    const symbolOf = (file: string) => checker.getSymbolAtLocation(program.getSourceFile(file)!)!
    const declared = namesOf(checker, moduleFiles.map((file) => [file, symbolOf(file)]))
    const used = new Map(examples.map(({ code }, index) => [
      code,
      usedIn(checker, program.getSourceFile(exampleFile(index))!)
    ]))
    return {
      names: declared.map(({ publicName }) => publicName),
      uses: ({ code }, name) =>
        declared.some(({ key, publicName }) => publicName === name && used.get(code)?.has(key) === true)
    }
  } finally {
    api.close()
  }
}

interface Declared {
  readonly publicName: PublicName
  /** Where it is declared. */
  readonly key: string
}

const namesOf = (checker: Checker, modules: ReadonlyArray<readonly [string, Symbol]>): ReadonlyArray<Declared> => {
  const declared = new Map<string, Declared>()
  const heads = new Map<string, PublicName>()

  const add = (node: Node, name: Pick<PublicName, "name" | "kind"> & Partial<PublicName>): PublicName => {
    const key = keyOf(node)
    const path = pathOf(node)
    const { publicName } = declared.get(key) ?? {
      publicName: {
        path,
        docstring: docstringOf(node),
        holders: [heads.get(path)].filter((head) => head !== undefined),
        isUsed: false,
        errors: [],
        given: undefined,
        measure: undefined,
        ...name
      }
    }
    declared.set(key, { key, publicName })
    return publicName
  }

  const exported: Array<{ readonly name: PublicName; readonly node: Node; readonly symbol: Symbol }> = []
  for (const [file, symbol] of modules) {
    const node = symbol.declarations[0]!.resolve()!
    heads.set(relative(root, file), add(node, { name: basename(file, ".ts"), kind: "module", holders: [] }))
  }
  for (const [, module] of modules) {
    for (const symbol of checker.getExportsOfModule(module)) {
      const target = targetOf(checker, symbol)
      if ((target.flags & SymbolFlags.ValueModule) !== 0) continue
      for (const node of oursOf(target)) {
        const use = isType(node) ? undefined : useOf(checker, node, checker.getTypeOfSymbol(target)!)
        const name = add(node, { name: symbol.name, kind: "export", ...use })
        exported.push({ name, node, symbol: target })
      }
    }
  }

  /** Looks at what is found at a name, once where it is given to a function, and once where it is not. */
  const visit = (type: Type, through: PublicName, isGiven: boolean, seen: Set<string>): void => {
    const visited = `${type.id} ${isGiven}`
    if (seen.has(visited)) return
    seen.add(visited)
    const more = (type: Type) => visit(type, through, isGiven, seen)
    if (type.isUnionType() || type.isIntersectionType()) return type.getTypes().forEach(more)
    if (checker.isArrayLikeType(type) && type.isTypeReference()) return checker.getTypeArguments(type).forEach(more)
    for (const signature of checker.getSignaturesOfType(type, SignatureKind.Call)) {
      for (const parameter of signature.getParameters()) {
        visit(checker.getTypeOfSymbol(parameter)!, through, true, seen)
      }
      more(checker.getReturnTypeOfSignature(signature)!)
    }
    if (type.isObjectType()) visitMembers(type, through, isGiven, seen)
  }

  const visitMembers = (type: Type, through: PublicName, isGiven: boolean, seen: Set<string>): void => {
    for (const member of checker.getPropertiesOfType(type)) {
      const memberType = checker.getTypeOfSymbol(member)!
      if (member.name === "Service" && oursOf(member).length === 0) visitMembers(memberType, through, isGiven, seen)
      for (const node of oursOf(member)) {
        if (member.name === "_tag" || isOverride(node)) continue
        const [holder = through] = enclosing(node).flatMap((key) => declared.get(key)?.publicName ?? [])
        const name = add(node, {
          name: `${holder.name}.${member.name}`,
          kind: kindOf(node),
          holders: [holder, ...holder.holders],
          measure: measureOf(memberType),
          ...useOf(checker, node, memberType)
        })
        if (isGiven) {
          const given = /^(?:readonly )?\w+\?/.test(node.getText()) ? "optionally" : "always"
          declared.set(keyOf(node), { key: keyOf(node), publicName: { ...name, given } })
        }
        visit(memberType, name, isGiven, seen)
      }
    }
  }

  for (const { name, node, symbol } of exported) {
    const seen = new Set<string>()
    if (isType(node) || node.kind === SyntaxKind.ClassDeclaration) {
      visit(checker.getDeclaredTypeOfSymbol(symbol), name, false, seen)
    }
    if (!isType(node)) visit(checker.getTypeOfSymbol(symbol)!, name, false, seen)
  }
  return [...declared.values()]
}

const isType = (node: Node): boolean =>
  node.kind === SyntaxKind.InterfaceDeclaration || node.kind === SyntaxKind.TypeAliasDeclaration

const kindOf = ({ parent }: Node): PublicName["kind"] =>
  parent.kind === SyntaxKind.ClassDeclaration
    ? "class member"
    // A service's type is an argument of what makes its class.
    : parent.kind === SyntaxKind.InterfaceDeclaration || parent.parent.kind === SyntaxKind.CallExpression &&
        parent.kind === SyntaxKind.TypeLiteral
    ? "member"
    : "field"

const isOverride = (node: Node): boolean => /^(?:\w+ )*override /.test(node.getText())

const ours = `${root}/packages/`.toLowerCase()

/** The declarations of a symbol that are in the repository. Where the case of a path is of no matter, the compiler has it lower. */
const oursOf = ({ declarations }: Symbol): ReadonlyArray<Node> =>
  declarations.filter(({ path }) => path.toLowerCase().startsWith(ours)).map((handle) => handle.resolve()!)

const targetOf = (checker: Checker, symbol: Symbol): Symbol =>
  (symbol.flags & SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol)

const pathOf = (node: Node): string => relative(root, node.getSourceFile().fileName)

const keyOf = (node: Node): string => `${pathOf(node)}:${node.kind}:${node.pos}`

/** The keys of what a node stands in, the nearest first. */
const enclosing = ({ parent }: Node): ReadonlyArray<string> =>
  parent === undefined || parent.kind === SyntaxKind.SourceFile ? [] : [keyOf(parent), ...enclosing(parent)]

const docstringOf = (node: Node): string => {
  const { text } = node.getSourceFile()
  const head = /^\/\*\*[\s\S]*?\*\//.exec(text)?.[0] ?? ""
  if (node.kind === SyntaxKind.SourceFile) return docstringsIn(head)[0] ?? ""
  const statement = node.kind === SyntaxKind.VariableDeclaration ? node.parent.parent : node
  // The head is the module's, also where what follows has none of its own.
  return docstringsIn(text.slice(Math.max(statement.pos, head.length), statement.getStart())).at(-1) ?? ""
}

/** What is run or built, and says with its second argument what it may fail with. */
const runnable = new Set(["Effect", "Stream", "Layer"])

const useOf = (checker: Checker, node: Node, type: Type): Pick<PublicName, "isUsed" | "errors"> => {
  const isClass = node.kind === SyntaxKind.ClassDeclaration
  const isCalled = checker.getSignaturesOfType(type, SignatureKind.Call).length > 0
  const isRun = runnable.has(genericOf(type)) || genericOf(type) === "Reference"
  return { isUsed: isClass || isCalled || isRun, errors: errorsOf(checker, type) }
}

const genericOf = (type: Type): string => type.isTypeReference() ? type.getTarget().getSymbol()?.name ?? "" : ""

const partsOf = (type: Type): ReadonlyArray<Type> => type.isUnionType() ? type.getTypes() : [type]

const errorsOf = (checker: Checker, type: Type): ReadonlyArray<string> => {
  const returned = checker.getSignaturesOfType(type, SignatureKind.Call).flatMap((signature) =>
    errorsOf(checker, checker.getReturnTypeOfSignature(signature)!)
  )
  const own = partsOf(type).flatMap((part) =>
    part.isTypeReference() && (runnable.has(genericOf(part)) || genericOf(part) === "Failure")
      ? tagsOf(checker, checker.getTypeArguments(part)[1]!)
      : []
  )
  return [...new Set([...returned, ...own])]
}

const tagsOf = (checker: Checker, error: Type): ReadonlyArray<string> =>
  partsOf(error).flatMap((part) => {
    const tag = part.isObjectType() ? checker.getPropertyOfType(part, "_tag") : undefined
    const type = tag && checker.getTypeOfSymbol(tag)
    return type?.isStringLiteralType() === true ? [type.value] : []
  })

const measureOf = (type: Type): PublicName["measure"] => {
  const parts = partsOf(type).filter(({ flags }) => (flags & TypeFlags.Nullable) === 0)
  if (parts.some((part) => part.getSymbol()?.name === "Duration")) return "duration"
  const isNumber = ({ flags }: Type) => (flags & TypeFlags.NumberLike) !== 0
  return parts.length > 0 && parts.every(isNumber) ? "number" : undefined
}

/** Where that is declared which a module uses beside its imports. */
const usedIn = (checker: Checker, module: Node): ReadonlySet<string> => {
  const identifiers: Array<Node> = []
  const collect = (node: Node): void => {
    if (node.kind === SyntaxKind.ImportDeclaration) return
    if (node.kind === SyntaxKind.Identifier) identifiers.push(node)
    node.forEachChild(collect)
  }
  collect(module)
  return new Set(
    checker.getSymbolAtLocation(identifiers).flatMap((symbol) =>
      symbol === undefined ? [] : oursOf(targetOf(checker, symbol)).map(keyOf)
    )
  )
}
