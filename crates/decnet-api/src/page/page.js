"use strict";
// Shows /openapi.json. Everything from the document is set as text, never as markup.

let doc;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

// Returns paragraphs, with `code` between backticks.
function prose(text = "") {
  return text.trim().split(/\n\s*\n/).filter(Boolean).map((paragraph) => make("p", {}, ...inline(paragraph)));
}

function inline(text = "") {
  return text.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));
}

function resolve(schema) {
  if (!schema || !schema.$ref) return schema || {};
  return doc.components.schemas[schema.$ref.split("/").pop()] || {};
}

// Returns a schema without its null, and whether it is nullable.
function nonNull(schema) {
  const options = schema.oneOf || schema.anyOf;
  if (options && options.some((option) => option.type === "null")) {
    const others = options.filter((option) => option.type !== "null");
    return [others.length === 1 ? { ...schema, oneOf: undefined, anyOf: undefined, ...others[0] } : { ...schema, oneOf: others }, true];
  }
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter((type) => type !== "null");
    return [{ ...schema, type: types.length === 1 ? types[0] : types }, types.length < schema.type.length];
  }
  return [schema, false];
}

function typeName(given) {
  const [schema, nullable] = nonNull(given);
  const named = schema.$ref ? schema.$ref.split("/").pop() : undefined;
  const whole = resolve(schema);
  let name = named || whole.format || whole.type || (whole.oneOf || whole.anyOf ? "one of" : "any");
  if (whole.type === "array") name = `list of ${typeName(whole.items || {})}`;
  if (whole.enum) name = whole.enum.map((value) => JSON.stringify(value)).join(" | ");
  return nullable ? `${name} or null` : String(name);
}

function bounds(given) {
  const schema = nonNull(given)[0];
  const range = (least, most, unit) =>
    least === undefined && most === undefined ? [] : [`${least ?? ""}–${most ?? ""}${unit}`];
  return [
    ...range(schema.minLength, schema.maxLength, " characters"),
    ...range(schema.minimum, schema.maximum, ""),
    ...range(schema.minItems, schema.maxItems, " items"),
    ...(schema.default === undefined ? [] : [`default ${JSON.stringify(schema.default)}`]),
  ].join(", ");
}

function properties(schema) {
  const parts = [schema, ...(schema.allOf || []).map(resolve)];
  return {
    fields: Object.assign({}, ...parts.map((part) => part.properties || {})),
    required: parts.flatMap((part) => part.required || []),
  };
}

function tree(given, depth = 0) {
  const schema = resolve(nonNull(given)[0]);
  if (depth > 5) return undefined;
  if (schema.type === "array") return tree(schema.items || {}, depth);
  const options = schema.oneOf || schema.anyOf;
  if (options) {
    const items = options.map((option) => make("li", {}, make("span", { class: "type" }, typeName(option)), tree(option, depth + 1)));
    return make("ul", { class: "schema" }, ...items);
  }
  const { fields, required } = properties(schema);
  if (!Object.keys(fields).length) return undefined;
  const items = Object.entries(fields).map(([name, field]) => {
    const more = bounds(field);
    const description = field.description || resolve(nonNull(field)[0]).description;
    return make("li", {},
      make("code", {}, name), " ", make("span", { class: "type" }, typeName(field) + (more ? ` · ${more}` : "")), " ",
      required.includes(name) ? make("span", { class: "need" }, "required") : null,
      description ? make("div", {}, ...inline(description)) : null,
      tree(field, depth + 1));
  });
  return make("ul", { class: "schema" }, ...items);
}

function example(given, depth = 0) {
  const schema = { ...resolve(nonNull(given)[0]), ...(given.example === undefined ? {} : { example: given.example }) };
  if (schema.example !== undefined) return schema.example;
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  const options = schema.oneOf || schema.anyOf;
  if (options) return example(options[0], depth);
  if (schema.type === "array") return depth > 4 ? [] : [example(schema.items || {}, depth + 1)];
  const { fields, required } = properties(schema);
  if (Object.keys(fields).length) {
    const wanted = Object.entries(fields).filter(([name, field]) => required.includes(name) || field.example !== undefined);
    return Object.fromEntries(wanted.map(([name, field]) => [name, example(field, depth + 1)]));
  }
  if (schema.type === "boolean") return true;
  if (schema.type === "integer" || schema.type === "number") return schema.minimum ?? 1;
  if (schema.format === "date-time") return "2026-04-24T00:00:00Z";
  return schema.type === "object" ? {} : "…";
}

function curl(method, path, operation) {
  const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}'${location.origin}${path}'`];
  if ((operation.security || []).length) lines.push(`-H "Authorization: Bearer $TOKEN"`);
  const content = (operation.requestBody || {}).content;
  if (content) {
    const [type, media] = Object.entries(content)[0];
    const body = JSON.stringify(media.example ?? example(media.schema || {})).replaceAll("'", "'\\''");
    lines.push(`-H 'Content-Type: ${type}'`, `-d '${body}'`);
  }
  return lines.join(" \\\n  ");
}

function parameters(operation) {
  if (!(operation.parameters || []).length) return [];
  const rows = operation.parameters.map((parameter) => make("tr", {},
    make("td", {}, make("code", {}, parameter.name), " ", parameter.required ? make("span", { class: "need" }, "required") : null),
    make("td", { class: "type" }, `${parameter.in}, ${typeName(parameter.schema || {})}`),
    make("td", {}, ...inline(parameter.description), bounds(parameter.schema || {}) ? ` (${bounds(parameter.schema)})` : "")));
  return [make("h4", {}, "Parameters"), make("table", {}, make("tbody", {}, ...rows))];
}

function requestBody(operation) {
  const content = (operation.requestBody || {}).content;
  if (!content) return [];
  const [type, media] = Object.entries(content)[0];
  return [make("h4", {}, "Body ", make("code", {}, type)), tree(media.schema || {})];
}

function responses(operation) {
  const entries = Object.entries(operation.responses || {});
  const good = entries.filter(([status]) => status < 400).map(([status, response]) => {
    const media = Object.values(response.content || {})[0];
    return make("div", {}, make("p", { class: "note" }, make("code", {}, status), " ", ...inline(response.description)),
      media ? tree(media.schema || {}) : null);
  });
  const bad = entries.filter(([status]) => status >= 400).map(([status, response]) =>
    make("tr", {}, make("td", {}, make("code", {}, status)), make("td", {}, ...inline(response.description))));
  return [make("h4", {}, "Responses"), ...good, bad.length ? make("table", {}, make("tbody", {}, ...bad)) : null];
}

function operation(path, method, given) {
  const scopes = (given.security || []).flatMap((requirement) => Object.values(requirement).flat());
  const title = given.summary || given.operationId;
  const details = make("details", { class: "operation", id: given.operationId },
    make("summary", {}, make("span", { class: `method ${method}` }, method), make("span", { class: "path" }, path),
      make("span", { class: "short" }, title.split(/[.:?;](?:\s|$)/)[0].replaceAll("`", ""))),
    make("div", { class: "body" }, ...prose([given.summary, given.description].filter(Boolean).join("\n\n")),
      make("span", { class: "scope" }, scopes.length ? `scope ${scopes.join(", ")}` : "no token needed"),
      make("h4", {}, "Try it"), make("pre", {}, curl(method, path, given)),
      ...parameters(given), ...requestBody(given), ...responses(given)));
  const link = make("a", { href: `#${given.operationId}` }, make("span", { class: `method ${method}` }, method), path.replace("/api/v1", "").replaceAll("/", "\u200b/"));
  return { details, link };
}

function show() {
  const groups = document.getElementById("groups"), contents = document.getElementById("contents");
  document.getElementById("version").textContent = doc.info.version;
  document.getElementById("introduction").replaceChildren(...prose(doc.info.description));
  groups.replaceChildren();
  const all = Object.entries(doc.paths).flatMap(([path, item]) =>
    Object.entries(item).filter(([, given]) => given.responses).map(([method, given]) => ({ path, method, given })));
  for (const tag of doc.tags || []) {
    const made = all.filter(({ given }) => (given.tags || []).includes(tag.name)).map(({ path, method, given }) => operation(path, method, given));
    if (!made.length) continue;
    contents.append(make("b", {}, tag.name), ...made.map(({ link }) => link));
    groups.append(make("section", { class: "group" }, make("h2", {}, tag.name), make("p", {}, ...inline(tag.description)), ...made.map(({ details }) => details)));
  }
  contents.append(make("b", {}, "more"), make("a", { href: "#problems" }, "Problems"));
  open();
}

// Opens and scrolls to the element that the address names.
function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") target.open = true;
  if (target) target.scrollIntoView();
}

addEventListener("hashchange", open);
fetch("/openapi.json").then((response) => response.json()).then((json) => { doc = json; show(); })
  .catch((error) => { document.getElementById("groups").textContent = `Cannot show the document: ${error}`; });
