import { readFileSync } from "node:fs"
import { join, relative } from "node:path"
import ts from "typescript"
import { addressOf, modulesOf, packages, root } from "./Pages.ts"

// The packages' public modules, read from their sources: what they export, how it is declared, and what the docstrings say.
//
// A service of Effect is a class whose methods stand in a type argument, an error one whose fields stand in a call: what knows only classes
// shows neither. Signatures are the source's own text, without bodies; types are asked of the compiler where the source leaves them out.

export interface Docstring {
  readonly text: string
  readonly tags: Readonly<Record<string, string>>
}

/** One declaration of a name: a schema and its type are two. */
export interface Declaration {
  readonly signature: string
  readonly doc: Docstring
  readonly members: ReadonlyArray<{ readonly name: string; readonly doc: Docstring }>
}

/** A type that a signature names and no user can: it is shown beside it. */
export interface LocalType {
  readonly name: string
  readonly text: string
}

export interface Entry {
  readonly name: string
  readonly category: string
  readonly declarations: ReadonlyArray<Declaration>
}

export interface Module {
  readonly path: string
  readonly package: string
  readonly name: string
  /** Whether the package exports it as one name, rather than what is in it. */
  readonly isNamespace: boolean
  readonly doc: Docstring
  readonly entries: ReadonlyArray<Entry>
  readonly localTypes: ReadonlyArray<LocalType>
  /** Where what a name or `A.b` means in this module is documented. */
  readonly find: (name: string) => string | undefined
}

export const anchorOf = (...names: ReadonlyArray<string>): string => names.join(".")

const known = new Set(["category", "since"])

/** A comment's text as Markdown; its tags stand at its end. */
const readComment = (comment: string, where: string): Docstring => {
  const lines = comment.replace(/^\/\*\*/, "").replace(/\*\/$/, "").split("\n").map((line) =>
    line.replace(/^\s*\* ?/, "")
  )
  const tags: Record<string, string> = {}
  const text = lines.join("\n").replace(
    /(?:^|\s+)@(\w+) +([^@\s][^@\n]*)(?=\s*$|\s+@\w+ )/g,
    (tag, name: string, value: string) => {
      if (!known.has(name)) return tag
      tags[name] = value.trim()
      return ""
    }
  ).trim()
  const [unread] = /^@\w+/m.exec(text.replace(/^```[\s\S]*?^```$/gm, "")) ?? []
  if (unread !== undefined) throw new Error(`${where}: nothing is known of ${unread}`)
  return { text, tags }
}

const nothing: Docstring = { text: "", tags: {} }

const commentsBefore = (node: ts.Node): ReadonlyArray<string> => {
  const { text } = node.getSourceFile()
  return (ts.getLeadingCommentRanges(text, node.getFullStart()) ?? [])
    .map(({ end, pos }) => text.slice(pos, end)).filter((comment) => comment.startsWith("/**"))
}

const placeOf = (node: ts.Node): string => {
  const file = node.getSourceFile()
  return `${relative(root, file.fileName)}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}`
}

const docOf = (node: ts.Node): Docstring => {
  const comment = commentsBefore(node).at(-1)
  return comment === undefined ? nothing : readComment(comment, placeOf(node))
}

/** Source text, moved to the left by as much as its later lines have in common. */
const flush = (text: string): string => {
  const [first = "", ...rest] = text.split("\n")
  const margins = rest.filter((line) => line.trim() !== "").map((line) => /^ */.exec(line)![0].length)
  const margin = Math.min(...margins, Number.POSITIVE_INFINITY)
  return [first, ...rest.map((line) => line.slice(margin === Number.POSITIVE_INFINITY ? 0 : margin))].join("\n")
}

const withoutComments = (text: string): string =>
  text.replace(/^ *\/\*\*[\s\S]*?\*\/ *\n/gm, "").replace(/\/\*\*[\s\S]*?\*\/ */g, "")

const plainLinks = (text: string): string => text.replace(/\{@link ([^}|]+?)(?: *\|[^}]*)?\}/g, "$1")

/** A member or the like, at the margin and without docstrings. */
const bare = (node: ts.Node): string => flush(withoutComments(node.getText()))

/** What fits beside the sidebar. */
const widest = 80

/** A function type that is too wide goes on after its arrow. */
const folded = (text: string): string =>
  text.replaceAll(/^(.*)\(\n +([^\n]*)\n *\) => /gm, (apart, head: string, parameter: string) => {
    const together = `${head}(${parameter}) => `
    return together.length <= widest ? together : apart
  }).split("\n").map((line) => {
    const [, margin, before, after] = /^( *)([^ )].*) => (.*)$/.exec(line) ?? []
    return line.length <= widest || margin === undefined ? line : `${margin}${before} =>\n${margin}  ${after}`
  }).join("\n")

const indented = (text: string): string => text.replace(/^(?=.)/gm, "  ")

const block = (head: string, members: ReadonlyArray<string>, foot = ""): string =>
  members.length === 0 ? `${head} {}${foot}` : `${head} {\n${folded(members.map(indented).join("\n"))}\n}${foot}`

/** A `const` of a module, or of a class. */
interface Variable extends ts.Node {
  readonly name: ts.Node
  readonly type?: ts.TypeNode
  readonly initializer?: ts.Expression
}

interface Named {
  readonly name: string
  readonly doc: Docstring
  readonly text: string
}

class Reader {
  readonly checker: ts.TypeChecker
  /** Types that have a name of their own, which the compiler would spell out. */
  readonly aliases = new Map<ts.Type, string>()

  constructor(checker: ts.TypeChecker) {
    this.checker = checker
  }

  typeText(type: ts.Type, at: ts.Node): string {
    const alias = this.aliases.get(type)
    if (alias !== undefined) return alias
    if (this.checker.isArrayType(type)) {
      const element = this.checker.getIndexTypeOfType(type, ts.IndexKind.Number)
      if (element !== undefined) return `ReadonlyArray<${this.typeText(element, at)}>`
    }
    if (type.isUnion() && type.types.some(({ flags }) => flags & ts.TypeFlags.Undefined)) {
      const defined = this.checker.getNonNullableType(type)
      if (defined !== type) return `${this.typeText(defined, at)} | undefined`
    }
    return this.checker.typeToString(
      type,
      at,
      ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.UseFullyQualifiedType
    )
      .replaceAll("; }", " }").replace(/^(Effect\.Effect<.*), never>$/, "$1>")
  }

  /** A parameter as a caller sees it. */
  parameterText(parameter: ts.ParameterDeclaration): string {
    const { dotDotDotToken, initializer, name, questionToken, type } = parameter
    const typeText = type === undefined
      ? this.typeText(this.checker.getTypeAtLocation(parameter), parameter)
      : bare(type)
    // What it is taken apart into is the function's own affair.
    const simple = /^(?:\w+\.)?([A-Z]\w*)\b/.exec(typeText)?.[1]
    const shown = ts.isIdentifier(name)
      ? name.text
      : simple === undefined
      ? "options"
      : simple[0]!.toLowerCase() + simple.slice(1)
    const isOptional = initializer !== undefined || questionToken !== undefined
    return `${dotDotDotToken === undefined ? "" : "..."}${shown}${isOptional ? "?" : ""}: ${typeText}`
  }

  /** A name with type parameters and parameters, and what comes after them. */
  callText(
    head: string,
    node: ts.SignatureDeclaration,
    separator: ": " | " => ",
    result = this.resultText(node)
  ): string {
    const { parameters, typeParameters } = node
    const generics = typeParameters === undefined ? "" : `<${typeParameters.map(bare).join(", ")}>`
    const texts = parameters.map((parameter) => this.parameterText(parameter))
    const line = `${head}${generics}(${texts.join(", ")})${separator}${result}`
    if (texts.length === 0 || (line.split("\n")[0]!.length <= widest && !texts.some((text) => text.includes("\n")))) {
      return line
    }
    return `${head}${generics}(\n${texts.map(indented).join(",\n")}\n)${separator}${result}`
  }

  resultText(node: ts.SignatureDeclaration): string {
    if (node.type !== undefined) return bare(node.type)
    if (ts.isArrowFunction(node) && ts.isArrowFunction(node.body)) return this.callText("", node.body, " => ")
    const signature = this.checker.getSignatureFromDeclaration(node)
    return signature === undefined ? "unknown" : this.typeText(signature.getReturnType(), node)
  }

  variableText(
    keywords: string,
    node: Variable,
    name = node.name.getText()
  ): string {
    const { initializer, type } = node
    if (type !== undefined) return `${keywords} ${name}: ${bare(type)}`
    if (initializer !== undefined && ts.isArrowFunction(initializer)) {
      return this.callText(`${keywords} ${name}: `, initializer, " => ")
    }
    const [signature] = this.checker.getTypeAtLocation(node).getCallSignatures()
    const [body] = initializer !== undefined && ts.isCallExpression(initializer) ? initializer.arguments : []
    // Effect.fnUntraced(function*(…) {…})
    if (signature !== undefined && body !== undefined && ts.isFunctionExpression(body)) {
      return this.callText(`${keywords} ${name}: `, body, " => ", this.typeText(signature.getReturnType(), node))
    }
    // A schema, a metric and a number say more of themselves than their types do.
    if (initializer !== undefined && isTelling(initializer)) {
      return `${keywords} ${name} = ${flush(plainLinks(initializer.getText()))}`
    }
    return `${keywords} ${name}: ${this.typeText(this.checker.getTypeAtLocation(node), node)}`
  }

  /** What a class declares itself, its fields that a call has made aside. */
  ownMembers(node: ts.ClassDeclaration): ReadonlyArray<Named> {
    return node.members.flatMap((member): ReadonlyArray<Named> => {
      const flags = ts.getCombinedModifierFlags(member)
      const { name } = member
      if (
        name === undefined || ts.isPrivateIdentifier(name) ||
        flags & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected)
      ) return []
      const isStatic = flags & ts.ModifierFlags.Static ? "static " : ""
      const named = (text: string) => [{ name: name.getText(), doc: docOf(member), text }]
      if (ts.isPropertyDeclaration(member)) {
        const keywords = `${isStatic}${flags & ts.ModifierFlags.Readonly ? "readonly" : ""}`.trim()
        return named(this.variableText(keywords, member).trimStart())
      }
      if (ts.isMethodDeclaration(member)) return named(this.callText(`${isStatic}${name.getText()}`, member, ": "))
      if (ts.isGetAccessor(member)) return named(`${isStatic}get ${name.getText()}(): ${this.resultText(member)}`)
      throw new Error(`${placeOf(member)}: no way is known to show this member`)
    })
  }

  /** The fields that a schema's class has of its schema. */
  schemaFields(node: ts.ClassDeclaration): ReadonlyArray<Named> {
    const own = new Set(node.members.map(({ name }) => name?.getText()))
    const type = this.checker.getTypeAtLocation(node)
    return this.checker.getPropertiesOfType(type).flatMap((property): ReadonlyArray<Named> => {
      const [declaration] = property.declarations ?? []
      if (own.has(property.name) || declaration === undefined || !isOurs(declaration)) return []
      const isOptional = property.flags & ts.SymbolFlags.Optional ? "?" : ""
      const text = this.typeText(this.checker.getTypeOfSymbolAtLocation(property, node), node)
      return [{ name: property.name, doc: docOf(declaration), text: `readonly ${property.name}${isOptional}: ${text}` }]
    })
  }

  classDeclaration(node: ts.ClassDeclaration, name: string): Declaration {
    const own = this.ownMembers(node)
    const base = node.heritageClauses?.[0]?.types[0]?.expression
    const texts = (members: ReadonlyArray<Named>) => members.map(({ text }) => text)
    const doc = docOf(node)
    // X extends Base<X, …>()(…)
    if (base !== undefined && ts.isCallExpression(base) && ts.isCallExpression(base.expression)) {
      const { expression, typeArguments } = base.expression
      const [, shape] = typeArguments ?? []
      const call = expression.getText()
      if (call === "Context.Service" && shape !== undefined && ts.isTypeLiteralNode(shape)) {
        const members = shape.members.map((member) => this.shapeMember(member))
        const head = block(
          `class ${name} extends Context.Service<${name},`,
          texts(members),
          `>()(${base.arguments[0]!.getText()})`
        )
        return {
          doc,
          signature: own.length === 0 ? `${head} {}` : block(head, texts(own)),
          members: documented([...own, ...members])
        }
      }
      if (/^Schema\.(?:Tagged)?(?:Error|Class)$/.test(call)) {
        const fields = this.schemaFields(node)
        const tag = call.startsWith("Schema.Tagged") ? [`readonly _tag: ${base.arguments[0]!.getText()}`] : []
        return {
          doc,
          signature: block(`class ${name} extends ${call}<${name}>`, [...tag, ...texts(fields), ...texts(own)]),
          members: documented([...fields, ...own])
        }
      }
    }
    throw new Error(`${placeOf(node)}: no way is known to show what this class extends`)
  }

  shapeMember(member: ts.TypeElement): Named {
    return { name: member.name?.getText() ?? "", doc: docOf(member), text: bare(member) }
  }

  declaration(node: ts.Declaration, name: string): Declaration {
    if (ts.isClassDeclaration(node)) return this.classDeclaration(node, name)
    if (ts.isInterfaceDeclaration(node)) {
      const members = node.members.map((member) => this.shapeMember(member))
      const generics = node.typeParameters === undefined ? "" : `<${node.typeParameters.map(bare).join(", ")}>`
      const heritage = node.heritageClauses?.map((clause) => ` ${clause.getText()}`).join("") ?? ""
      return {
        doc: docOf(node),
        signature: block(`interface ${name}${generics}${heritage}`, members.map(({ text }) => text)),
        members: documented(members)
      }
    }
    if (ts.isTypeAliasDeclaration(node)) {
      const text = node.getText().replace(/^export (?:declare )?/, "")
      return { doc: docOf(node), signature: plainLinks(text), members: [] }
    }
    if (ts.isVariableDeclaration(node)) {
      return { doc: docOf(node.parent.parent), signature: folded(this.variableText("const", node, name)), members: [] }
    }
    throw new Error(`${placeOf(node)}: no way is known to show this declaration`)
  }
}

const documented = (members: ReadonlyArray<Named>) =>
  members.filter(({ doc }) => doc.text !== "").map(({ doc, name }) => ({ name, doc }))

const isTelling = (node: ts.Expression): boolean =>
  ts.isLiteralExpression(node) || ts.isPrefixUnaryExpression(node) ||
  (ts.isCallExpression(node) && /^(?:Schema|Metric)\./.test(node.expression.getText()))

const isOurs = (node: ts.Node): boolean =>
  packages.some((name) => node.getSourceFile().fileName.startsWith(join(root, `packages/${name}/src/`)))

const programOf = (): ts.Program => {
  const host = {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (): never => {
      throw new Error("packages/kube/tsconfig.json cannot be read")
    }
  }
  const config = ts.getParsedCommandLineOfConfigFile(join(root, "packages/kube/tsconfig.json"), {}, host)
  const files = packages.map((name) => join(root, `packages/${name}/src/index.ts`))
  return ts.createProgram(files, { ...config?.options, noEmit: true, composite: false, incremental: false })
}

const namespacesOf = (name: string): ReadonlySet<string> =>
  new Set(
    Array.from(
      readFileSync(join(root, `packages/${name}/src/index.ts`), "utf8").matchAll(
        /^export \* as \w+ from "\.\/(\w+)\.ts"/gm
      ),
      ([, module]) => module!
    )
  )

export const readReference = (): ReadonlyArray<Module> => {
  const program = programOf()
  const checker = program.getTypeChecker()
  const reader = new Reader(checker)
  const aliased = (symbol: ts.Symbol) =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : checker.getExportSymbolOfSymbol(symbol)

  const files = packages.flatMap((name) => modulesOf(name).map((path) => ({ path, package: name })))
    .map((module) => {
      const source = program.getSourceFile(join(root, module.path))
      const symbol = source === undefined ? undefined : checker.getSymbolAtLocation(source)
      if (source === undefined || symbol === undefined) throw new Error(`${module.path} is not exported by its package`)
      const names = checker.getExportsOfModule(symbol).map((exported) => ({
        name: exported.name,
        symbol: aliased(exported)
      }))
      return {
        ...module,
        source,
        symbol,
        names: names.filter(({ symbol }) => symbol.declarations?.[0]?.getSourceFile() === source)
      }
    })

  const addresses = new Map<ts.Symbol, string>()
  for (const { names, path, symbol } of files) {
    addresses.set(symbol, addressOf(path))
    for (const { name, symbol } of names) {
      addresses.set(symbol, `${addressOf(path)}#${anchorOf(name)}`)
      if (symbol.flags & ts.SymbolFlags.TypeAlias) reader.aliases.set(checker.getDeclaredTypeOfSymbol(symbol), name)
    }
  }

  const members = new Map<ts.Symbol, ReadonlySet<string>>()

  return files.map(({ names, path, source, ...module }): Module => {
    const entries = names.map(({ name, symbol }): Entry & { readonly position: number } => {
      const declarations = (symbol.declarations ?? []).map((node) => reader.declaration(node, name))
      const category = declarations.map(({ doc }) => doc.tags["category"]).find((tag) => tag !== undefined)
      members.set(symbol, new Set(declarations.flatMap(({ members }) => members.map(({ name }) => name))))
      if (category === undefined) throw new Error(`${path}: ${name} has no @category`)
      return { name, category, declarations, position: symbol.declarations![0]!.getStart() }
    }).toSorted((one, other) => one.position - other.position)

    const scope = new Map(
      checker.getSymbolsInScope(
        source,
        ts.SymbolFlags.Value | ts.SymbolFlags.Type | ts.SymbolFlags.Namespace | ts.SymbolFlags.Alias
      )
        .map((symbol) => [symbol.name, symbol])
    )
    const find = (name: string): string | undefined => {
      const [first = "", ...rest] = name.split(".")
      const found = scope.get(first)
      let symbol = found === undefined ? undefined : aliased(found)
      for (const part of rest) {
        if (symbol === undefined) return undefined
        const address = addresses.get(symbol)
        const inside = symbol.flags & ts.SymbolFlags.Module
          ? checker.getExportsOfModule(symbol).find((one) => one.name === part)
          : undefined
        if (inside === undefined) return members.get(symbol)?.has(part) === true ? `${address}.${part}` : undefined
        symbol = aliased(inside)
      }
      return symbol === undefined ? undefined : addresses.get(symbol)
    }

    const exported = new Set(names.flatMap(({ symbol }) => symbol.declarations ?? []))
    const localTypes = source.statements.flatMap((node): ReadonlyArray<LocalType> =>
      (ts.isTypeAliasDeclaration(node) || ts.isInterfaceDeclaration(node)) && !exported.has(node)
        ? [{ name: node.name.text, text: bare(node) }]
        : []
    )
    const [statement] = source.statements
    const [comment] = statement === undefined ? [] : commentsBefore(statement)
    if (comment === undefined) throw new Error(`${path} does not say what it is`)
    const name = source.fileName.replace(/^.*\/|\.ts$/g, "")
    return {
      path,
      package: module.package,
      name,
      isNamespace: namespacesOf(module.package).has(name),
      doc: readComment(comment, path),
      entries,
      localTypes,
      find
    }
  })
}
