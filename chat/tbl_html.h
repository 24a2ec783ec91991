/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * tbl_html - what browsers execute or load without being asked, and on a
 * click.
 *
 * HTML_ELEMENT(name, facts): the element is active with any of these facts.
 * HTML_ATTRIBUTE(name, fact): an attribute of that name, with a value, is one.
 *
 * Facts: ALWAYS of every element; URL an attribute that names something to
 * load; LINK the same, unless it is in the same document (#name); the others
 * are one attribute each.
 */

/* clang-format off */

#ifdef HTML_ELEMENT
HTML_ELEMENT("animate", SMIL)
HTML_ELEMENT("animatecolor", SMIL)
HTML_ELEMENT("animatemotion", SMIL)
HTML_ELEMENT("animatetransform", SMIL)
HTML_ELEMENT("applet", ALWAYS)
HTML_ELEMENT("audio", URL)
HTML_ELEMENT("base", LINK | TARGET)
HTML_ELEMENT("bgsound", URL)
HTML_ELEMENT("body", BACKGROUND)
HTML_ELEMENT("color-profile", LINK)
HTML_ELEMENT("cursor", LINK)
HTML_ELEMENT("embed", ALWAYS)
HTML_ELEMENT("feimage", LINK)
HTML_ELEMENT("fencedframe", ALWAYS)
HTML_ELEMENT("filter", LINK)
HTML_ELEMENT("font-face-uri", LINK)
HTML_ELEMENT("frame", URL)
HTML_ELEMENT("glyphref", LINK)
HTML_ELEMENT("html", MANIFEST)
HTML_ELEMENT("iframe", ALWAYS)
HTML_ELEMENT("ilayer", URL)
HTML_ELEMENT("image", URL | LINK)
HTML_ELEMENT("img", URL | LINK)
HTML_ELEMENT("input", URL)
HTML_ELEMENT("isindex", URL)
HTML_ELEMENT("layer", URL)
HTML_ELEMENT("lineargradient", LINK)
HTML_ELEMENT("link", REL)
HTML_ELEMENT("meta", HTTP_EQUIV)
HTML_ELEMENT("model", URL)
HTML_ELEMENT("mpath", LINK)
HTML_ELEMENT("object", ALWAYS)
HTML_ELEMENT("pattern", LINK)
HTML_ELEMENT("portal", URL)
HTML_ELEMENT("radialgradient", LINK)
HTML_ELEMENT("script", ALWAYS)
HTML_ELEMENT("set", SMIL)
HTML_ELEMENT("source", URL)
HTML_ELEMENT("style", ALWAYS)
HTML_ELEMENT("table", BACKGROUND)
HTML_ELEMENT("tbody", BACKGROUND)
HTML_ELEMENT("td", BACKGROUND)
HTML_ELEMENT("textpath", LINK)
HTML_ELEMENT("tfoot", BACKGROUND)
HTML_ELEMENT("th", BACKGROUND)
HTML_ELEMENT("thead", BACKGROUND)
HTML_ELEMENT("tr", BACKGROUND)
HTML_ELEMENT("track", URL)
HTML_ELEMENT("tref", LINK)
HTML_ELEMENT("use", LINK)
HTML_ELEMENT("video", URL)
HTML_ELEMENT("xml", URL)
#undef HTML_ELEMENT
#endif

#ifdef HTML_ATTRIBUTE
HTML_ATTRIBUTE("attributename", SMIL)
HTML_ATTRIBUTE("attributionsrc", ALWAYS)
HTML_ATTRIBUTE("background", BACKGROUND)
HTML_ATTRIBUTE("dynsrc", URL)
HTML_ATTRIBUTE("href", LINK)
HTML_ATTRIBUTE("http-equiv", HTTP_EQUIV)
HTML_ATTRIBUTE("imagesrcset", URL)
HTML_ATTRIBUTE("lowsrc", URL)
HTML_ATTRIBUTE("manifest", MANIFEST)
HTML_ATTRIBUTE("poster", URL)
HTML_ATTRIBUTE("rel", REL)
HTML_ATTRIBUTE("src", URL)
HTML_ATTRIBUTE("srcdoc", ALWAYS)
HTML_ATTRIBUTE("srcset", URL)
HTML_ATTRIBUTE("target", TARGET)
HTML_ATTRIBUTE("xlink:href", LINK)
#undef HTML_ATTRIBUTE
#endif

/* clang-format on */
