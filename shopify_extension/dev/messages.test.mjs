/** The messages are typed once, in embed/src/protocol.ts. Any change there that the block does not follow fails here. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import ts from 'typescript';

const ROOT = path.join(import.meta.dirname, '..');
const BLOCK = path.join(ROOT, 'extensions', 'tryon-theme', 'assets', 'tryon.js');
const PROTOCOL = path.join(ROOT, '..', 'embed', 'src', 'protocol.ts');
const OPTIONS = ts.parseJsonConfigFileContent(ts.readConfigFile(path.join(ROOT, 'tsconfig.json'), ts.sys.readFile).config, ts.sys, ROOT);

/** The type checker with one file that can be rewritten; it keeps what it knows of the others. */
class Checker {
  #protocol = { text: readFileSync(PROTOCOL, 'utf8'), version: 0 };
  #service = ts.createLanguageService({
    getCompilationSettings: () => ({ ...OPTIONS.options, types: [] }),
    getScriptFileNames: () => [BLOCK],
    getScriptVersion: (file) => (file === PROTOCOL ? String(this.#protocol.version) : '0'),
    getScriptSnapshot: (file) => {
      const text = file === PROTOCOL ? this.#protocol.text : ts.sys.readFile(file);
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
    },
    getCurrentDirectory: () => ROOT,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: ts.sys.fileExists,
    readFile: ts.sys.readFile,
  });

  problemsWith(text) {
    this.#protocol = { text, version: this.#protocol.version + 1 };
    return this.#service.getSemanticDiagnostics(BLOCK).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '));
  }
}

const source = readFileSync(PROTOCOL, 'utf8');

/** [{type, at, fields: [{name, at}]}] of one of the two interfaces. */
function messagesOf(name) {
  const file = ts.createSourceFile(PROTOCOL, source, ts.ScriptTarget.ES2022, true);
  const found = file.statements.find((node) => ts.isInterfaceDeclaration(node) && node.name.text === name);
  return found.members.map((member) => ({
    type: member.name.text,
    at: member.name.getStart(),
    fields: ts.isTypeLiteralNode(member.type)
      ? member.type.members.filter((field) => !field.questionToken).map((field) => ({ name: field.name.text, at: field.name.getStart() }))
      : [],
  }));
}

const renamed = (at, name, to) => source.slice(0, at) + source.slice(at).replace(name, to);

describe('the block and the protocol', () => {
  const checker = new Checker();

  it('agree', () => {
    assert.deepEqual(checker.problemsWith(source), []);
    assert.equal(messagesOf('ShopMessages').length + messagesOf('FrameMessages').length, 11);
  });

  for (const side of ['ShopMessages', 'FrameMessages']) {
    for (const { type, at, fields } of messagesOf(side)) {
      it(`would part if ${type} had another name`, () => {
        assert.notDeepEqual(checker.problemsWith(renamed(at, type, `${type}-2`)), []);
      });
      for (const { name, at: fieldAt } of fields) {
        it(`would part if ${name} of ${type} had another name`, () => {
          assert.notDeepEqual(checker.problemsWith(renamed(fieldAt, name, `${name}2`)), []);
        });
      }
    }
  }

  it('would part over a message that the block does not know', () => {
    const more = source.replace('"tryon:ready": Record', '"tryon:eval": { code: string };\n  "tryon:ready": Record');
    assert.notDeepEqual(checker.problemsWith(more), []);
  });

  it('both speak of every message by its name and of no other', () => {
    const known = [...messagesOf('ShopMessages'), ...messagesOf('FrameMessages')].map(({ type }) => type);
    const spoken = readFileSync(BLOCK, 'utf8').match(/(?<=['"])tryon:[a-z-]+(?=['"])/g);
    // The key in the session's storage is no message.
    assert.deepEqual([...new Set(spoken)].sort(), [...new Set(known)].sort());
  });
});
