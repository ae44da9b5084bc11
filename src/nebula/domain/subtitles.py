"""Which of a film's subtitles become WebVTT, and what their language is called. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nebula.domain.media import MediaFacts, SubtitleStream

# By decoder. Each of these reads only the packets that it is given.
TEXT_CODECS = frozenset({"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"})
PICTURE_CODECS = frozenset({"hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "xsub"})
MAX_STREAMS = 64

# ISO 639-2 (both codes, if a language has two) to ISO 639-1, the code that BCP 47 requires if a language has one.
_SHORT = (
    "aar=aa abk=ab afr=af aka=ak alb=sq sqi=sq amh=am ara=ar arg=an arm=hy hye=hy asm=as ava=av ave=ae aym=ay aze=az"
    " bak=ba bam=bm baq=eu eus=eu bel=be ben=bn bis=bi bos=bs bre=br bul=bg bur=my mya=my cat=ca cha=ch che=ce chi=zh"
    " zho=zh chu=cu chv=cv cor=kw cos=co cre=cr cze=cs ces=cs dan=da div=dv dut=nl nld=nl dzo=dz eng=en epo=eo est=et"
    " ewe=ee fao=fo fij=fj fin=fi fre=fr fra=fr fry=fy ful=ff geo=ka kat=ka ger=de deu=de gla=gd gle=ga glg=gl glv=gv"
    " gre=el ell=el grn=gn guj=gu hat=ht hau=ha heb=he her=hz hin=hi hmo=ho hrv=hr hun=hu ibo=ig ice=is isl=is ido=io"
    " iii=ii iku=iu ile=ie ina=ia ind=id ipk=ik ita=it jav=jv jpn=ja kal=kl kan=kn kas=ks kau=kr kaz=kk khm=km kik=ki"
    " kin=rw kir=ky kom=kv kon=kg kor=ko kua=kj kur=ku lao=lo lat=la lav=lv lim=li lin=ln lit=lt ltz=lb lub=lu lug=lg"
    " mac=mk mkd=mk mah=mh mal=ml mao=mi mri=mi mar=mr may=ms msa=ms mlg=mg mlt=mt mon=mn nau=na nav=nv nbl=nr nde=nd"
    " ndo=ng nep=ne nno=nn nob=nb nor=no nya=ny oci=oc oji=oj ori=or orm=om oss=os pan=pa per=fa fas=fa pli=pi pol=pl"
    " por=pt pus=ps que=qu roh=rm rum=ro ron=ro run=rn rus=ru sag=sg san=sa sin=si slo=sk slk=sk slv=sl sme=se smo=sm"
    " sna=sn snd=sd som=so sot=st spa=es srd=sc srp=sr ssw=ss sun=su swa=sw swe=sv tah=ty tam=ta tat=tt tel=te tgk=tg"
    " tgl=tl tha=th tib=bo bod=bo tir=ti ton=to tsn=tn tso=ts tuk=tk tur=tr twi=tw uig=ug ukr=uk urd=ur uzb=uz ven=ve"
    " vie=vi vol=vo wel=cy cym=cy wln=wa wol=wo xho=xh yid=yi yor=yo zha=za zul=zu"
)
_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")
_TAGS = dict(pair.split("=") for pair in _SHORT.split())


@dataclass(frozen=True)
class SubtitlePlan:
    """The subtitles that are taken from a film. `reasons` say which are taken, and why the others are not."""

    taken: tuple[SubtitleStream, ...]
    reasons: tuple[str, ...]


def decide(facts: MediaFacts) -> SubtitlePlan:
    """Return which streams of a source become WebVTT."""
    if not facts.moving:
        return SubtitlePlan((), ())
    text = [stream for stream in facts.subtitles if stream.codec in TEXT_CODECS]
    taken, surplus = text[:MAX_STREAMS], text[MAX_STREAMS:]
    reasons = [f"{shown(stream)} is kept as WebVTT" for stream in taken]
    reasons += [f"{shown(stream)} is not taken: {_why_not(stream)}" for stream in facts.subtitles if stream not in text]
    reasons += [f"{shown(stream)} is not taken: {MAX_STREAMS} are the most" for stream in surplus]
    return SubtitlePlan(tuple(taken), tuple(reasons[: 2 * MAX_STREAMS]))


def language_tag(language: str | None) -> str | None:
    """Return a language by its BCP 47 name: "ger" and "deu" are "de"; None if the file's word is not a valid tag."""
    if not language or not _TAG.fullmatch(language):
        return None
    return _TAGS.get(language.lower(), language)


def shown(stream: SubtitleStream) -> str:
    """Name a stream in a sentence: "subtitles 3 (ger, subrip)"."""
    description = ", ".join(word for word in (stream.language, stream.codec or "unknown") if word)
    return f"subtitles {stream.index} ({description})"


def _why_not(stream: SubtitleStream) -> str:
    return "they are pictures, not text" if stream.codec in PICTURE_CODECS else "this ffmpeg reads no text in them"
