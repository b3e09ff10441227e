import type { MarkdownOptions, MarkdownRenderer } from "vitepress"

type Transformer = NonNullable<MarkdownOptions["codeTransformers"]>[number]

/** Makes fences of code that is only indented, so that it looks like other code. */
export const fenceIndentedCode = (markdown: MarkdownRenderer): void => {
  markdown.core.ruler.push("fence-indented-code", ({ tokens }) => {
    for (const token of tokens) {
      if (token.type === "code_block") Object.assign(token, { type: "fence", info: "txt" })
    }
  })
}

/** Makes links of the names in a code block whose fence says where to: "```ts Lease=/api/…". */
export const linkedNames: Transformer = {
  name: "linked-names",
  span(node) {
    const raw = this.options.meta?.__raw
    const links = new Map(Array.from(raw?.matchAll(/(\w+)=(\/\S+)/g) ?? [], ([, name, address]) => [name!, address!]))
    if (links.size === 0) return
    node.children = node.children.flatMap((child) => {
      if (child.type !== "text" || child.value.includes("\"")) return [child]
      return child.value.split(/\b([A-Z]\w*)\b/).filter((part) => part !== "").map((part) => {
        const href = links.get(part)
        const text = { type: "text" as const, value: part }
        return href === undefined
          ? text
          : { type: "element" as const, tagName: "a", properties: { href }, children: [text] }
      })
    })
  }
}
